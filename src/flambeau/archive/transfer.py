"""Copies a remote archive into a file, within the limits; goes on where a connection broke off.

Used by ``archive.download`` with a source: ``archive.web`` or ``archive.s3``. A source says which
bytes it gives; what is done with them - counting, digest, resuming, starting over - is done here,
once for all. It knows no URL and no file name.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

log = logging.getLogger("flambeau.archive")

CHUNK = 1 << 20
PROGRESS_SECONDS = 5.0


class DownloadRefused(Exception):  # noqa: N818 -- it reads as the sentence it is
    """A rule forbids the download; the text is for the client. Trying again would not help."""


class Broken(Exception):  # noqa: N818 -- as above
    """The other side failed; the text is for the log. Trying again may help."""


def failures() -> tuple[type[Exception], ...]:
    """What may go wrong on the way of a transfer, and does not speak of a fault of ours."""
    import requests  # noqa: PLC0415 - a server that downloads nothing need not carry it
    import urllib3  # noqa: PLC0415 - the same

    return (Broken, requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """How long and how large a download may be."""

    most_bytes: int = 64 << 30
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    """Longest silence of the other side."""
    total_seconds: float = 4 * 3600.0
    redirects: int = 5
    resumes: int = 4
    """Times in a row to go on after a break without one more byte arriving."""
    pause_seconds: float = 0.5
    """Before the first of them; each further pause is twice as long."""
    ca_bundle: str | None = None
    """File or folder of certificate authorities; None uses the ones that come with requests."""


class Readable(Protocol):
    """Where bytes come from."""

    def read(self, amount: int, /) -> bytes:
        """Up to ``amount`` bytes, as soon as there are some; none at the end."""


@dataclass(frozen=True, slots=True)
class Body:
    """An answer of a source."""

    stream: Readable
    start: int = 0
    """Where in the archive its first byte lies."""
    size: int | None = None
    """Bytes of the whole archive, if known."""
    mark: str = ""
    """What stays the same as long as the archive does; empty if it cannot be read from the middle."""


class Source(Protocol):
    """A remote archive."""

    def open(self, start: int, mark: str) -> AbstractContextManager[Body]:
        """The archive from byte ``start`` on if it still has ``mark``, else from the beginning.

        Raises DownloadRefused, or one of ``failures``.
        """


class Transfer:
    """One archive on its way into one file."""

    def __init__(self, source: Source, file: IO[bytes], room: int, limits: DownloadLimits) -> None:
        """``room`` is the number of bytes the file may grow to because the disk is no larger."""
        self._source = source
        self._file = file
        self._room = room
        self._limits = limits
        self._digest = hashlib.sha256()
        self._copied = 0
        self._furthest = 0
        self._size: int | None = None
        self._mark = ""
        self._deadline = time.monotonic() + limits.total_seconds

    def run(self) -> str:
        """Copy everything; the sha256 of it, in hex.

        Raises DownloadRefused, or one of ``failures`` when going on is impossible or has not helped.
        """
        tries = 0
        while True:
            try:
                with self._source.open(self._copied, self._mark) as body:
                    self._begin(body)
                    self._copy(body.stream)
            except failures() as error:
                tries = 0 if self._copied > self._furthest else tries + 1
                self._furthest = max(self._furthest, self._copied)
                pause = self._limits.pause_seconds * 2**tries
                late = time.monotonic() + pause > self._deadline
                if not self._mark or late or tries >= self._limits.resumes:
                    raise
                log.warning("download broken off, it will go on %s cause=%s", self._place(), error)
                time.sleep(pause)
            else:
                save(b"", self._file, last=True)
                return self._digest.hexdigest()

    def _begin(self, body: Body) -> None:
        """Take up ``body`` where the last one ended, or start over with it."""
        if body.start == 0:
            self._file.seek(0)
            self._file.truncate()
            self._digest, self._copied = hashlib.sha256(), 0
            self._size, self._mark = body.size, body.mark
        elif body.start != self._copied or body.size not in {None, self._size or body.size}:
            raise Broken(f"asked from byte {self._copied} on, it answered with other bytes")
        else:
            self._size = self._size or body.size
        most, size = self._limits.most_bytes, self._size
        if size is not None and size > most:
            raise DownloadRefused(f"it has {size} bytes, more than the {most} allowed")
        if size is not None and size > self._room:
            raise DownloadRefused(f"it has {size} bytes, the model store has room for {self._room}")

    def _copy(self, stream: Readable) -> None:
        most = self._limits.most_bytes
        reported = time.monotonic()
        while chunk := stream.read(CHUNK):
            self._copied += len(chunk)
            if self._copied > most:
                raise DownloadRefused(f"it has more than the {most} bytes allowed")
            self._digest.update(chunk)
            save(chunk, self._file)
            now = time.monotonic()
            if now > self._deadline:
                raise Broken(f"it was not complete after {self._limits.total_seconds:g} s")
            if now - reported > PROGRESS_SECONDS:
                reported = now
                log.info("download goes on %s", self._place())
        if self._size is not None and self._copied != self._size:
            raise Broken(f"it ended after {self._copied} of {self._size} bytes")

    def _place(self) -> str:
        return f"bytes={self._copied} of={self._size or 'unknown'}"


def save(chunk: bytes, file: IO[bytes], *, last: bool = False) -> None:
    """Write ``chunk``; the last one also to the disk itself. Raises DownloadRefused: the disk is at fault."""
    try:
        file.write(chunk)
        if last:
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DownloadRefused(f"the model store cannot be written to ({error.strerror})") from error
