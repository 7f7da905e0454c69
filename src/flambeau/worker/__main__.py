"""``python -m flambeau.worker FD PARENT``: one worker on the socket FD, tied to process PARENT."""

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


def main(argv: list[str]) -> int:
    """Serve the socket until it ends; the exit code says how."""
    descriptor, parent = int(argv[0]), int(argv[1])
    own_signals()
    die_with(parent)
    os.set_inheritable(descriptor, False)
    return run(socket.socket(fileno=descriptor))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
