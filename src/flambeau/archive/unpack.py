"""Unpacks model and workflow archives into a fresh folder.

Called by ``archive.store`` and ``archive.war``. ``.mar`` and ``.war`` are zip files, any other
name is a gzipped tar whose first path component is dropped. It streams in constant memory, checks
every checksum, writes nothing outside the folder it makes, and removes that folder on any failure.
It restores contents only: no permissions, no owners, no links.
"""

from __future__ import annotations

import gzip
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from flambeau.archive.members import ArchiveLimits, MemberDoor, MemberRefused, shown, split_name
from flambeau.errors import ArchiveUnreadable, InvalidModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHUNK = 1 << 20
ZIP_SUFFIXES = (".mar", ".war")
ZIP_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
DIRECTORY_BYTES_PER_MEMBER = 256
"""A zip directory larger than this, per member allowed, is not read into memory."""
MOST_TAR_HEADER = 8 << 20
ENCRYPTED = 0x1

BROKEN = (
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    UnicodeError,
    ValueError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the readers raise for damaged archives, and the disk for its own reasons."""


def unpack(archive: Path, into: Path, limits: ArchiveLimits, *, kind: str = "model") -> None:
    """Unpack ``archive`` into ``into``, which must not exist; its parent is made.

    Raises ArchiveUnreadable (InvalidModel for a .mar that is no zip file at all), with the file
    name and the cause; ``into`` is gone then.
    """
    failed = f"Failed to save {kind}: {archive.name}"
    try:
        into.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise ArchiveUnreadable(f"{failed}: {_cause(error)}") from error
    try:
        _unpack(archive, into, limits, failed)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise


def _unpack(archive: Path, into: Path, limits: ArchiveLimits, failed: str) -> None:
    try:
        with archive.open("rb") as file:
            door = MemberDoor(limits, archive.stat().st_size)
            if not archive.name.endswith(ZIP_SUFFIXES):
                _untar(file, into, door)
            elif _looks_like_zip(file):
                _unzip(file, into, door, limits)
            else:
                raise InvalidModel(f"{failed}: it is not a zip file; pack it again")
    except BROKEN as error:
        raise ArchiveUnreadable(f"{failed}: {_cause(error)}") from error


def _looks_like_zip(file: BinaryIO) -> bool:
    start = file.read(4)
    file.seek(0)
    return start == b"PK\x03\x04" or zipfile.is_zipfile(file)


def _unzip(file: BinaryIO, into: Path, door: MemberDoor, limits: ArchiveLimits) -> None:
    bounded = _BoundedReader(file, max(CHUNK, limits.members * DIRECTORY_BYTES_PER_MEMBER))
    with zipfile.ZipFile(bounded) as packed:
        # Everything is checked before anything is written; the reader holds members to the
        # sizes and checksums they state.
        admitted = [(info, _admit_zip(info, door)) for info in packed.infolist()]
        for info, parts in admitted:
            if info.filename.endswith("/"):
                into.joinpath(*parts).mkdir(parents=True, exist_ok=True)
                continue
            with packed.open(info) as source:
                written = _write(source, into, parts)
            if written != info.file_size:
                raise MemberRefused(f"member {shown(info.filename)} is cut short")


def _admit_zip(info: zipfile.ZipInfo, door: MemberDoor) -> tuple[str, ...]:
    # orig_filename: the reader cuts filename at a NUL.
    parts = split_name(info.orig_filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "neither a file nor a folder"
        raise MemberRefused(f"member {shown(info.filename)} is {what}")
    if info.flag_bits & ENCRYPTED:
        raise MemberRefused(f"member {shown(info.filename)} is encrypted")
    if info.compress_type not in ZIP_METHODS:
        raise MemberRefused(
            f"member {shown(info.filename)} is packed by a method other than deflate"
        )
    if info.filename.endswith("/"):
        door.folder(parts)
    else:
        door.file(parts)
        door.size(info.file_size)
    return parts


def _untar(file: BinaryIO, into: Path, door: MemberDoor) -> None:
    with gzip.GzipFile(fileobj=file, mode="rb") as plain:
        # Counted here, so that headers and padding are limited as well as contents.
        reader = _BoundedReader(plain, MOST_TAR_HEADER, door.size)
        with tarfile.TarFile(fileobj=cast("IO[bytes]", reader)) as packed:
            while (member := packed.next()) is not None:
                packed.members.clear()  # type: ignore[attr-defined]  # it would keep every header; the stubs lack it
                _extract(packed, member, into, door)
        if reader.last.strip(b"\0"):
            raise MemberRefused("it is damaged: what follows the last member is no header")
        while reader.read(CHUNK):
            pass  # the checksum stands at the very end


def _extract(
    packed: tarfile.TarFile, member: tarfile.TarInfo, into: Path, door: MemberDoor
) -> None:
    if member.issym() or member.islnk():
        raise MemberRefused(f"member {shown(member.name)} is a link")
    if member.issparse() or not (member.isreg() or member.isdir()):
        raise MemberRefused(f"member {shown(member.name)} is neither a plain file nor a folder")
    parts = split_name(member.name)
    # "." counts as the component to drop, as in archives of "tar czf x.tar.gz .".
    if not member.name.startswith("./") and (len(parts) > 1 or member.isdir()):
        parts = parts[1:]
    if member.isdir():
        door.folder(parts)
        into.joinpath(*parts).mkdir(parents=True, exist_ok=True)
        return
    door.file(parts)
    source = packed.extractfile(member)
    if source is None:
        raise MemberRefused(f"member {shown(member.name)} has no contents")
    with source:
        _write(source, into, parts)


def _write(source: IO[bytes], into: Path, parts: tuple[str, ...]) -> int:
    target = into.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as out:
        while chunk := source.read(CHUNK):
            written += out.write(chunk)
    return written


def _cause(error: Exception) -> str:
    if isinstance(error, MemberRefused):
        return str(error)
    if isinstance(error, gzip.BadGzipFile) and str(error).startswith("Not a gzipped file"):
        return "it is not a gzip file; pack it again"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"it is damaged or cut short ({str(error) or type(error).__name__})"


class _BoundedReader:
    """A reader that refuses to read very much at once, and counts what passes.

    Archive readers take whole headers into memory at the size the archive claims.
    """

    def __init__(
        self,
        source: BinaryIO | gzip.GzipFile,
        most: int,
        count: Callable[[int], None] | None = None,
    ) -> None:
        self._source = source
        self._most = most
        self._count = count
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; without one, up to CHUNK, plenty for the ends of zip files. Raises MemberRefused for a request beyond the bound."""
        if size > self._most:
            raise MemberRefused("a header in it is larger than allowed")
        self.last = self._source.read(size if size >= 0 else CHUNK)
        if self._count is not None:
            self._count(len(self.last))
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; forward by reading where bytes are counted."""
        if self._count is None:
            return self._source.seek(offset, whence)
        ahead = offset - self._source.tell()
        if whence != 0 or ahead < 0:
            raise MemberRefused("it asks to be read backwards")
        while ahead > 0 and (chunk := self.read(min(ahead, CHUNK))):
            ahead -= len(chunk)
        return self._source.tell()

    def tell(self) -> int:
        """Where the reader stands."""
        return self._source.tell()

    def seekable(self) -> bool:
        """True: asked by zipfile."""
        return True
