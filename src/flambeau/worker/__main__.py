"""``python -m flambeau.worker FD PARENT``: one worker on the socket FD, tied to process PARENT."""

from __future__ import annotations

import os
import socket
import sys

from flambeau.worker.life import die_with, own_signals
from flambeau.worker.loop import run


def main(argv: list[str]) -> int:
    """Serve the socket until it ends; the exit code says how."""
    descriptor, parent = int(argv[0]), int(argv[1])
    own_signals()
    die_with(parent)
    os.set_inheritable(descriptor, False)
    return run(socket.socket(fileno=descriptor))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
