"""The pid file of a server: one server per temporary folder.

Used by the commands that start and stop, and by the server process, which removes its own.
A pid counts only while that process carries the mark of a server in its command line, so a number
that was given to another program after a crash is never signalled.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil

from flambeau.cli.mark import PROCESS_MARK


def default_path() -> Path:
    """``.model_server.pid`` in the folder for temporary files (TMPDIR moves it)."""
    return Path(tempfile.gettempdir()) / ".model_server.pid"


class PidFile:
    """The file at ``path``, which may be absent, stale, or name a running server."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()

    def exists(self) -> bool:
        """There is such a file, whatever it says."""
        return self.path.is_file()

    def server(self) -> psutil.Process | None:
        """The running server it names; None if there is no file or no such server."""
        try:
            process = psutil.Process(int(self.path.read_text().split()[0]))
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if alive and PROCESS_MARK in process.cmdline() else None
        except (OSError, ValueError, IndexError, psutil.Error):
            return None

    def write(self, pid: int) -> None:
        """Names ``pid`` in the file; replaces it as a whole, so that nobody reads half a number."""
        descriptor, name = tempfile.mkstemp(prefix=self.path.name, dir=self.path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{pid}\n")
        Path(name).replace(self.path)

    def remove(self, *, only_of: int | None = None) -> None:
        """No such file any more; with ``only_of``, only if it names that process."""
        if only_of is not None:
            try:
                if int(self.path.read_text().split()[0]) != only_of:
                    return
            except (OSError, ValueError, IndexError):
                return
        self.path.unlink(missing_ok=True)
