"""The server's temporary folder, which goes with it, however the server ends.

A server holds a lock on a file in its folder for as long as it lives. What a killed server has
left is known by its lock being free, and removed by the next server that starts - whatever pids
say: servers in containers share them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "flambeau-"
LOCK = ".lock"


class Scratch:
    """A fresh folder in ``parent``. ``remove`` it at the end."""

    def __init__(self, parent: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
        self._lock = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Delete the folder and everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def sweep(parent: Path) -> list[Path]:
    """Remove the folders of servers that are no more; they come back."""
    removed = []
    for folder in parent.glob(f"{PREFIX}*"):
        if _left(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _left(folder: Path) -> bool:
    """Whether ``folder`` was made by a server whose lock is free."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # Not a server's, not ours to touch, or one that is just being made.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
