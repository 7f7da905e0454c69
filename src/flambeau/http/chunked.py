"""The chunked transfer coding, decoded.

Strict: what is doubtful is refused, since a proxy in front might read it differently.
``http.reading`` feeds it bytes and takes out the pieces. It never sees a head or a socket.
"""

from __future__ import annotations

import re

from flambeau.http.head import BadMessage

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:;"
    + _TOKEN
    + rb"(?:=(?:"
    + _TOKEN
    + rb'|"[\t !#-\[\]-~\x80-\xff]*"))?)*'
)
_TRAILER = re.compile(
    rb"(?!(?i:content-length|transfer-encoding):)" + _TOKEN + rb":[\t -~\x80-\xff]*"
)
"""Trailers are dropped, but one that speaks of framing is an attempt at something."""
_MAX_SIZE_LINE = 1024
_MAX_TRAILERS = 8191


class Chunks:
    """One chunked body. ``feed`` until ``complete``."""

    __slots__ = ("_in_trailers", "_line", "_missing", "_trailer_bytes", "complete")

    def __init__(self) -> None:
        self.complete = False
        self._line = b""
        """Start of a line whose end has not come yet."""
        self._missing = 0
        """Bytes of the current chunk still to come, its line end included; 0 between chunks."""
        self._in_trailers = False
        self._trailer_bytes = 0

    def feed(self, data: bytes, pieces: list[bytes]) -> bytes:
        """Add what ``data`` holds of the body to ``pieces``; what follows the body is returned.

        Raises BadMessage.
        """
        if self._line:
            data = self._line + data
            self._line = b""
        at = 0
        while not self.complete:
            if self._missing:
                if at >= len(data):
                    return b""
                at = self._content(data, at, pieces)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._hold(data[at:])
                return b""
            self._line_read(data[at:end])
            at = end + 2
        return data[at:]

    def _content(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take chunk content and the line end behind it; where to go on."""
        size = self._missing - 2
        if size > 0:
            piece = data[at : at + size]
            pieces.append(piece)
            self._missing -= len(piece)
            at += len(piece)
        tail = data[at : at + self._missing] if self._missing <= 2 else b""  # noqa: PLR2004 - CR LF
        if tail and tail != b"\r\n"[2 - self._missing :][: len(tail)]:
            raise BadMessage("a chunk is longer than it says")
        self._missing -= len(tail)
        return at + len(tail)

    def _line_read(self, line: bytes) -> None:
        if self._in_trailers:
            self._trailer_bytes += len(line)
            if not line:
                self.complete = True
            elif self._trailer_bytes > _MAX_TRAILERS or not _TRAILER.fullmatch(line):
                raise BadMessage("trailers too long or malformed")
            return
        match = _SIZE.fullmatch(line)
        if match is None or len(line) > _MAX_SIZE_LINE:
            raise BadMessage("chunk size is malformed")
        size = int(match[1], 16)
        if size:
            self._missing = size + 2
        else:
            self._in_trailers = True

    def _hold(self, start: bytes) -> None:
        """Keep the start of a line. Raises BadMessage when it can no longer become a good one."""
        bound = _MAX_TRAILERS - self._trailer_bytes if self._in_trailers else _MAX_SIZE_LINE
        if len(start) > bound + 1 or b"\n" in start:
            raise BadMessage("line of a chunked body too long or malformed")
        self._line = start
