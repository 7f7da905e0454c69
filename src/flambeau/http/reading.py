"""Bytes in, whole requests out.

No I/O: ``http.protocol`` feeds what it read and sends what ``interim`` asks for, and tests feed it
whatever they like.

A body is kept as the pieces that came, never joined (tiny ones are gathered). A request whose
body is refused is answered through ``interim``; its body is read and dropped, so that the next
request on the connection is found where it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flambeau.http.chunked import Chunks
from flambeau.http.head import CHUNKED, BadMessage, Head, asked_in, parse
from flambeau.http.refusal import RequestLine, Why

if TYPE_CHECKING:
    from flambeau.http.limits import Limits

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_END = b"\r\n\r\n"
_CR = 0x0D
_FIRST_BYTE, _LAST_BYTE = 0x21, 0x7E
_GATHER_FROM = 64
_TINY = 4096
_MEMORY = 256
_MEMORABLE = 2048


class Refused(NamedTuple):
    """A request that is answered while its body is still read, to be dropped."""

    why: Why
    asked: RequestLine
    last: bool
    """Nobody can tell how much more would come: the connection ends when the body does."""


class Heads:
    """Heads that came more than once lately: a client often sends the same one again and again.

    Shared by all connections of a listener. A hit saves the parsing, and what the application
    noted in ``Head.memo``. A head is kept when it comes the second time, since keeping heads that
    never come again costs more (memory, garbage collection) than it saves.
    """

    __slots__ = ("_glimpsed", "_limits", "known")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._glimpsed: set[int] = set()
        self.known: dict[bytes, Head] = {}

    def parsed(self, raw: bytes) -> Head:
        """The head in ``raw``. Raises BadMessage."""
        head = parse(raw, self._limits)
        if len(raw) <= _MEMORABLE:
            mark = hash(raw)
            if mark in self._glimpsed:
                if len(self.known) >= _MEMORY:
                    self.known.clear()
                self.known[raw] = head
            else:
                if len(self._glimpsed) >= _MEMORY:
                    self._glimpsed.clear()
                self._glimpsed.add(mark)
        return head


class RequestReader:
    """The reading side of one connection."""

    __slots__ = (
        "_chunks",
        "_head",
        "_heads",
        "_limits",
        "_missing",
        "_refused",
        "_told_close",
        "body",
        "body_size",
        "held",
        "interim",
    )

    def __init__(self, limits: Limits, heads: Heads) -> None:
        self._limits = limits
        self._heads = heads
        self.held = b""
        """Bytes of the next request: the start of a head, or all that came too early."""
        self._head: Head | None = None
        """Of the request whose body is being read."""
        self._chunks: Chunks | None = None
        self._missing = 0
        self._refused = False
        self._told_close = False
        self.body: list[bytes] = []
        self.body_size = 0
        self.interim: list[bytes | Refused] = []
        """What the client must be told at once, bytes as they are; the owner empties it."""

    @property
    def refused(self) -> bool:
        """The body being read has been refused, and its request answered, already."""
        return self._refused and self._head is not None

    @property
    def asked(self) -> RequestLine:
        """What the request that is being read asks for, as far as that can be told."""
        head = self._head
        return asked_in(self.held, self._limits) if head is None else _line_of(head)

    @property
    def begun(self) -> bool:
        """Bytes of an incomplete request have come."""
        return bool(self.held) or self._head is not None

    @property
    def in_body(self) -> bool:
        """A head is complete and its body is not."""
        return self._head is not None

    def hold(self, data: bytes) -> None:
        """Keep ``data`` for later: an earlier request is still being answered."""
        self.held += data

    def feed(self, data: bytes) -> Head | None:
        """Head of the next complete request, with ``body`` and ``body_size`` set; or None.

        None means that more bytes are needed. After a head, call again with ``b""`` for what
        was held. Raises BadMessage; the reader is of no use afterwards.
        """
        if self.held:
            data = self.held + data
            self.held = b""
        while True:
            head = self._head
            if head is None:
                end = data.find(_END) + 4
                if end <= 4 or data[0] == _CR:  # noqa: PLR2004 - no end yet, or blank lines in front
                    more = self._from_first_line(data)
                    if more is None:
                        return None
                    data = more
                    continue
                raw = data[:end]
                head = self._heads.known.get(raw) or self._parsed(raw)
                size = head.length
                if size == len(data) - end and not head.expects and size <= self._limits.body:
                    # By far the most common case: the bytes are exactly one request.
                    self.body = [data[end:]] if size else []
                    self.body_size = size
                    return head
                self._begin_body(head)
                data = data[end:]
            data = self._read_body(head, data)
            if self._missing or (self._chunks and not self._chunks.complete):
                return None
            self._head = self._chunks = None
            if not self._refused:
                self.held = data
                return head
            if not head.keep_alive or self._told_close:
                raise BadMessage("refused, and the last of its connection", None)

    def _parsed(self, raw: bytes) -> Head:
        """The head in ``raw``. Raises BadMessage, and then keeps the bytes for ``asked``."""
        try:
            return self._heads.parsed(raw)
        except BadMessage:
            self.held = raw
            raise

    def _from_first_line(self, data: bytes) -> bytes | None:
        """``data`` without blank lines in front; None after holding a head that has no end yet.

        Raises BadMessage when the head can no longer become a good one.
        """
        start = 0
        while data.startswith(b"\r\n", start):
            start += 2
        self.held = data = data[start:]
        if data and not _FIRST_BYTE <= data[0] <= _LAST_BYTE and data != b"\r":
            raise BadMessage("not HTTP")
        if _END in data:
            self.held = b""
            return data
        line = data.find(b"\r\n")
        if (len(data) - 1 if line < 0 else line) > self._limits.request_line:
            raise BadMessage("request line too long")
        if line >= 0:
            fields = len(data) - line - 2 * data.count(b"\r\n")
            if fields - 1 > self._limits.header_bytes:  # its last byte may be half a line end
                raise BadMessage("header lines too long")
        return None

    def _begin_body(self, head: Head) -> None:
        """Decide on a body that is not all there: wanted, or refused and dropped.

        Raises BadMessage for one that is too large even to be dropped.
        """
        limits = self._limits
        self._head = head
        self._chunks = Chunks() if head.length == CHUNKED else None
        self._missing = max(head.length, 0)
        self._refused = False
        self.body = []
        self.body_size = 0
        if head.length > limits.discard and head.length > limits.body:
            raise BadMessage("the body is too large to be dropped", Why.TOO_LARGE)
        if head.expects and head.expects != b"100-continue":
            self._refuse(head, Why.EXPECTATION)
        elif head.length > limits.body:
            self._refuse(head, Why.TOO_LARGE)
        elif head.expects and head.length:
            self.interim.append(CONTINUE)

    def _refuse(self, head: Head, why: Why, *, last: bool = False) -> None:
        self._refused = True
        self._told_close = last
        self.interim.append(Refused(why, _line_of(head), last))
        self.body = []

    def _read_body(self, head: Head, data: bytes) -> bytes:
        """Take what belongs to the body; the rest is returned. Raises BadMessage."""
        if self._chunks is not None:
            return self._read_chunks(head, self._chunks, data)
        piece = data[: self._missing] if len(data) > self._missing else data
        self._missing -= len(piece)
        self.body_size += len(piece)
        if piece and not self._refused:
            self._keep(piece)
        return data[len(piece) :]

    def _read_chunks(self, head: Head, chunks: Chunks, data: bytes) -> bytes:
        """The same for a chunked body. A request has one answer: a refused one ends silently."""
        pieces: list[bytes] = []
        malformed: BadMessage | None = None
        rest = b""
        try:
            rest = chunks.feed(data, pieces)
        except BadMessage as error:
            malformed = error
        self.body_size += sum(map(len, pieces))
        if self.body_size > self._limits.body and not self._refused:
            self._refuse(head, Why.TOO_LARGE, last=True)
        if self._refused:
            if malformed or self.body_size > self._limits.discard:
                raise BadMessage("a refused body is malformed, or too large to be dropped", None)
        elif malformed:
            raise malformed
        elif pieces:
            self._keep(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return rest

    def _keep(self, piece: bytes) -> None:
        """Add a piece; many tiny ones become one, so that memory stays near the body's size."""
        body = self.body
        body.append(piece)
        if len(body) >= _GATHER_FROM and self.body_size < len(body) * _TINY:
            body[:] = [b"".join(body)]


def _line_of(head: Head) -> RequestLine:
    return RequestLine(head.method, head.target, head.http_version)
