"""The door every member of an archive passes before a byte of it is written.

Used by ``archive.unpack`` (and ``archive.packing``, so that what we pack we also accept). It knows
names, kinds, counts and sizes; it never touches the disk.
Rules: names are relative, plain and distinct on every file system; only files and folders; no
more members, bytes or growth than the limits say.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MOST_NAME_BYTES = 2048
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
DRIVE = re.compile(r"[A-Za-z]:")


class MemberRefused(ValueError):  # noqa: N818 -- it reads as the sentence it is
    """A rule is broken; the text names the member and the rule."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much an archive may unpack to."""

    members: int = 100_000
    total_bytes: int = 64 << 30
    ratio: int = 200
    """Most unpacked bytes per packed byte, looked at only above ``ratio_floor``."""
    ratio_floor: int = 100 << 20


def shown(name: str) -> str:
    """A member's name for messages: quoted, escaped, shortened."""
    return repr(name if len(name) <= 120 else name[:117] + "...")  # noqa: PLR2004 -- a readable length


def split_name(name: str) -> tuple[str, ...]:
    """The components of a member's name. Raises MemberRefused for anything but a plain relative path."""
    if CONTROL.search(name):
        raise MemberRefused(f"member {shown(name)} has a control character in its name")
    if "\\" in name:
        raise MemberRefused(f"member {shown(name)} has a backslash in its name")
    if name.startswith("/") or DRIVE.match(name):
        raise MemberRefused(f"member {shown(name)} has an absolute name")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise MemberRefused(f"member {shown(name)} has a name that is no valid text") from None
    if length > MOST_NAME_BYTES:
        raise MemberRefused(f"member {shown(name)} has a name longer than {MOST_NAME_BYTES} bytes")
    parts = name.split("/")
    if ".." in parts:
        raise MemberRefused(f"member {shown(name)} leads out of the archive ('..')")
    return tuple(part for part in parts if part not in ("", "."))


class MemberDoor:
    """Admits the members of one archive, one after the other."""

    def __init__(self, limits: ArchiveLimits, packed_bytes: int) -> None:
        self._limits = limits
        grown = max(limits.ratio_floor, packed_bytes * limits.ratio)
        self._most_bytes = min(limits.total_bytes, grown)
        self._by_ratio = grown < limits.total_bytes
        self._members = 0
        self._bytes = 0
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def folder(self, parts: tuple[str, ...]) -> None:
        """Admit a folder and those above it; naming one again is harmless."""
        self._member()
        self._open_folders(parts)

    def file(self, parts: tuple[str, ...]) -> None:
        """Admit a file. Raises MemberRefused when its name is taken, whatever the case."""
        self._member()
        if not parts:
            raise MemberRefused("a file in it has no name")
        self._open_folders(parts[:-1])
        name = "/".join(parts)
        key = _folded(name)
        if key in self._folders:
            raise MemberRefused(f"member {shown(name)} is a file and a folder at once")
        taken = self._files.get(key)
        if taken == name:
            raise MemberRefused(f"member {shown(name)} is in it twice")
        if taken is not None:
            raise MemberRefused(f"members {shown(taken)} and {shown(name)} differ only in case")
        self._files[key] = name

    def size(self, amount: int) -> None:
        """Count unpacked bytes. Raises MemberRefused when they are too many."""
        self._bytes += amount
        if self._bytes <= self._most_bytes:
            return
        if self._by_ratio:
            raise MemberRefused(
                f"it unpacks to more than {self._limits.ratio} times its size "
                f"(over {self._most_bytes} bytes)"
            )
        raise MemberRefused(f"it unpacks to more than {self._most_bytes} bytes")

    def _member(self) -> None:
        self._members += 1
        if self._members > self._limits.members:
            raise MemberRefused(f"it has more than {self._limits.members} members")

    def _open_folders(self, parts: tuple[str, ...]) -> None:
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            key = _folded(name)
            if key in self._files:
                raise MemberRefused(f"member {shown(name)} is a file and a folder at once")
            taken = self._folders.setdefault(key, name)
            if taken != name:
                raise MemberRefused(f"folders {shown(taken)} and {shown(name)} differ only in case")


def _folded(name: str) -> str:
    """What two names share when a file system that ignores case would mix them up."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
