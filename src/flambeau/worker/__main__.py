"""The program of one worker.

``python -m flambeau.worker FD PARENT`` serves the socket FD and ends with the process PARENT.
``python -m flambeau.worker --connect HOST:PORT`` calls a server, which may be on another machine;
the token that opens its door comes on standard input. It ends when the connection does.
"""

from __future__ import annotations

import os
import sys

# The import path of the model is in force from the start. A file of an archive that is named
# like a module of ours or of the standard library must wait until the model is loaded.
_model_path = set(map(os.path.abspath, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
sys.path.sort(key=lambda entry: os.path.abspath(entry) in _model_path)  # noqa: PTH100 - as above

import socket  # noqa: E402 - see above

from flambeau.worker.life import die_with, own_signals  # noqa: E402 - see above
from flambeau.worker.loop import run  # noqa: E402 - see above

NOT_CONNECTED = 3
"""Exit code, beside those of ``loop``: no server that knows the token."""


def main(argv: list[str]) -> int:
    """Serve the socket until it ends; the exit code says how."""
    own_signals()
    if argv[0] == "--connect":
        return _call(argv[1])
    descriptor, parent = int(argv[0]), int(argv[1])
    die_with(parent)
    os.set_inheritable(descriptor, False)
    return run(socket.socket(fileno=descriptor))


def _call(address: str) -> int:
    # Workers beside their server never need it.
    from flambeau.worker.calling import NotConnected, call, read_token  # noqa: PLC0415

    try:
        connection = call(address, read_token())
    except NotConnected as error:
        sys.stderr.write(f"{error}\n")
        return NOT_CONNECTED
    return run(connection)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
