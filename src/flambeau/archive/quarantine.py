"""Files that downloads grow in, hidden in the model store until they are complete.

Used by ``archive.download``. A file takes its name only at the end, never over another one; what
goes wrong before leaves nothing, and what a killed server left is swept at the next start.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from flambeau.archive.transfer import DownloadRefused
from flambeau.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("flambeau.archive")

PREFIX = ".download-"


@contextmanager
def quarantine(folder: Path) -> Iterator[IO[bytes]]:
    """A new hidden file in ``folder``, gone at the end unless it was given a name.

    Raises DownloadRefused when the folder cannot be written to.
    """
    try:
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115 -- closed below
            prefix=PREFIX, dir=folder, delete=False
        )
    except OSError as error:
        raise DownloadRefused(f"the model store cannot be written to ({error.strerror})") from error
    try:
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)  # a live download, for sweep()
            os.fchmod(file.fileno(), 0o644)
            yield file
    finally:
        Path(file.name).unlink(missing_ok=True)


def move_in(part: Path, target: Path) -> None:
    """Give a complete file its name. Claiming the name first makes sure nothing is replaced.

    Raises InternalError when ``target`` exists.
    """
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise already_there(target) from None
    part.replace(target)


def already_there(target: Path) -> InternalError:
    """The error for a download whose file name is taken."""
    return InternalError(f"Model file already exists {target.name}")


def sweep(folder: Path) -> None:
    """Remove what downloads of a server that was killed left in ``folder``."""
    for path in folder.glob(f"{PREFIX}*"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except OSError:
            continue  # another server is at it, or it is not ours to remove
        log.info("download of an earlier run removed file=%s", path.name)
