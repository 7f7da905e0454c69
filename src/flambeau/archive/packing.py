"""What packing a model and packing a workflow share: choosing files and writing them.

Used by ``archive.mar`` and ``archive.war``. Files go straight from where they lie into the archive,
which appears under its name only when it is complete. It applies the unpacker's rules, so that
whatever is packed can be served.
"""

from __future__ import annotations

import glob
import io
import logging
import os
import re
import shutil
import tarfile
import tempfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.archive.members import ArchiveLimits, MemberDoor, MemberRefused, split_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

log = logging.getLogger("flambeau.archive")

NAME_RULE = r"^[A-Za-z0-9][A-Za-z0-9_\-.]*$"
LEFT_OUT = frozenset({"__pycache__", "__MACOSX"})
CHUNK = 1 << 18
WILD = re.compile(r"[*?]|\[.*\]")


class PackingError(Exception):
    """An archive cannot be packed; the text says what is wrong and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MissingFile(PackingError, FileNotFoundError):  # noqa: N818 -- it reads as the sentence it is
    """A file that should go into the archive is not there."""


def check_name(kind: str, name: str) -> None:
    """Raise PackingError unless ``name`` may name an archive."""
    if not re.fullmatch(NAME_RULE, name):
        raise PackingError(
            f"{kind} name {name!r} is not allowed: it must start with a letter or digit and go on "
            f"with letters, digits, '_', '-' or '.' ({NAME_RULE})"
        )


def check_folder(folder: str | Path) -> None:
    """Raise PackingError unless ``folder`` is one."""
    if not Path(folder).is_dir():
        raise PackingError(
            f"export path {str(folder)!r} is not a directory; make it or give another --export-path"
        )


def check_free(target: Path, *, force: bool) -> None:
    """Raise PackingError when ``target`` is taken and ``force`` does not give it away."""
    if not os.path.lexists(target):
        return
    if not force:
        raise PackingError(f"{target} already exists; give --force (-f) to overwrite it")
    log.warning("Overwriting %s ...", target)


class Contents:
    """The files of an archive: name inside it to the file on disk."""

    def __init__(self, marker: str, leave_out: Path) -> None:
        self._marker = marker
        self._leave_out = leave_out.absolute()
        self.files: dict[str, Path] = {}
        self.on_read: Callable[[int], None] = _ignore
        """Called with the size of every piece read from a file while the archive is written."""

    def add(self, file: str | Path, name: str | None = None) -> None:
        """Take one file, under its base name or ``name``. Raises MissingFile, PackingError."""
        path = Path(file)
        name = name or path.name
        if path.absolute() == self._leave_out:
            return
        if name == f"{self._marker}/MANIFEST.json":
            log.warning("%s is left out: the archive gets a manifest of its own", path)
            return
        if not path.exists():
            raise MissingFile(f"File does not exist: {path}")
        if not path.is_file():
            raise PackingError(f"{path} is not a regular file")
        before = self.files.get(name)
        if before is not None and not before.samefile(path):
            log.warning("%s replaces %s: both are called %s in the archive", path, before, name)
        self.files[name] = path

    def add_extra(self, listed: str) -> None:
        """Take a comma separated list of files, folders (their contents) and wildcards."""
        for item in filter(None, (part.strip() for part in listed.split(","))):
            if os.path.lexists(item):
                found = [item]
            elif WILD.search(item):
                matches = glob.glob(item)  # noqa: PTH207 -- the pattern may be absolute
                found = sorted(path for path in matches if Path(path).name not in LEFT_OUT)
                if not found:
                    log.warning("no file matches the wildcard pattern: %s", item)
            else:
                raise MissingFile(f"File does not exist: {item}")
            for path in map(Path, found):
                if path.is_dir():
                    self._add_tree(path, "", (path.resolve(),))
                else:
                    self.add(path)

    def _add_tree(self, folder: Path, prefix: str, above: tuple[Path, ...]) -> None:
        for path in sorted(folder.iterdir()):
            if not path.is_dir():
                self.add(path, prefix + path.name)
                continue
            if path.name in LEFT_OUT or path.name.startswith("."):
                continue
            real = path.resolve()
            if real in above:
                raise PackingError(f"{path} is a link to a folder above it; leave it out")
            if real != self._leave_out.resolve():
                self._add_tree(path, f"{prefix}{path.name}/", (*above, real))

    def check(self) -> None:
        """Raise PackingError for names the server would refuse."""
        door = MemberDoor(ArchiveLimits(), 0)
        try:
            for name in self.files:
                door.file(split_name(name))
        except MemberRefused as error:
            raise PackingError(f"the archive could not be served: {error}") from error


class _Counted:
    """Reads ``file`` and tells how much, piece by piece."""

    def __init__(self, file: BinaryIO, on_read: Callable[[int], None]) -> None:
        self._file = file
        self._on_read = on_read

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the file, at most ``size``."""
        piece = self._file.read(size)
        self._on_read(len(piece))
        return piece


def _ignore(size: int) -> None:
    """Tells nobody that ``size`` bytes were read."""


def write_zip(
    target: Path, contents: Contents, manifest: tuple[str, str], *, deflate: bool
) -> None:
    """Write a zip file; ``manifest`` is its name in the archive and its text."""
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    with (
        _finished(target) as part,
        zipfile.ZipFile(part, "w", method, strict_timestamps=False) as packed,
    ):
        for name, path in contents.files.items():
            member = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
            member.compress_type = method
            with path.open("rb") as file, packed.open(member, "w") as into:
                shutil.copyfileobj(_Counted(file, contents.on_read), into, CHUNK)
        packed.writestr(*manifest)


def write_tgz(target: Path, contents: Contents, manifest: tuple[str, str], *, top: str) -> None:
    """Write a gzipped tar with everything under the folder ``top``."""
    name, text = manifest
    head = tarfile.TarInfo(f"{top}/{name}")
    head.size = len(text.encode())
    head.mtime = int(time.time())
    with (
        _finished(target) as part,
        tarfile.open(part, "w:gz", dereference=True) as packed,
    ):
        for inside, path in contents.files.items():
            member = packed.gettarinfo(path, f"{top}/{inside}")
            with path.open("rb") as file:
                packed.addfile(member, _Counted(file, contents.on_read))
        packed.addfile(head, io.BytesIO(text.encode()))


def write_folder(target: Path, contents: Contents, manifest: tuple[str, str]) -> None:
    """Write an unpacked archive. Only a folder that is one already is replaced."""
    name, text = manifest
    if os.path.lexists(target) and not (target / name).is_file():
        raise PackingError(f"{target} is not a model archive folder; it is not overwritten")
    with _finished(target) as part:
        part.mkdir(mode=0o755)
        for inside, path in contents.files.items():
            copy = part / inside
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
            contents.on_read(copy.stat().st_size)
        (part / name).parent.mkdir(exist_ok=True)
        (part / name).write_text(text, encoding="utf-8")


@contextmanager
def _finished(target: Path) -> Iterator[Path]:
    """A path to write to; it takes the name ``target`` when the block ends well."""
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise PackingError(f"cannot write to {target.parent}: {error.strerror}") from error
    part = work / target.name
    try:
        yield part
        _replace(part, target, work / "before")
    except OSError as error:
        raise PackingError(f"{target} could not be written: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _replace(part: Path, target: Path, aside: Path) -> None:
    if not part.is_dir() or not os.path.lexists(target):
        part.replace(target)
        return
    target.rename(aside)
    try:
        part.replace(target)
    except OSError:
        aside.rename(target)
        raise
