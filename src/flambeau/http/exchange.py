"""One request and its answer, as the faces see them.

The connection makes an exchange when a request is complete and calls the application with it, on
the event loop. The application answers at once or later, in one piece (``respond``) or as a
stream (``start``, ``write``, ``end``). Nothing here is ever awaited on the hot path.
"""

from __future__ import annotations

import http
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flambeau.http.head import Head, Headers
    from flambeau.http.protocol import Connection

_LARGE = 64 * 1024
"""From this size on a body is handed to the transport as it is, not copied behind its head."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def _line(status: int, phrase: str) -> bytes:
    clean = _CONTROLS.sub(" ", phrase).encode("latin-1", "replace")
    return b"HTTP/1.1 %d %b\r\n" % (status, clean)


_LINES = {
    (int(status), phrase): _line(status, phrase)
    for status in http.HTTPStatus
    for phrase in ("", status.phrase)
}


def status_line(status: int, phrase: str) -> bytes:
    """First line of an answer, with its line end. Control characters in the phrase become blanks."""
    return _LINES.get((status, phrase)) or _line(status, phrase)


class Exchange:
    """What an application may use of one request."""

    __slots__ = (
        "_bodyless",
        "_chunked",
        "_close",
        "_connection",
        "answered",
        "body",
        "body_size",
        "gone",
        "head",
        "headers",
        "http_version",
        "method",
        "on_gone",
        "peer",
        "received",
        "started",
        "target",
    )

    def __init__(
        self,
        connection: Connection,
        head: Head,
        body: list[bytes],
        body_size: int,
        received: float,
    ) -> None:
        self._connection = connection
        self.head = head
        """Shared by requests with the same bytes; ``head.memo`` is the application's to use."""
        self.method: bytes = head.method
        self.target: bytes = head.target
        """Path and query as the client sent them, undecoded."""
        self.http_version: str = head.http_version
        """``1.0`` or ``1.1``."""
        self.headers: Headers = head.headers
        """In the client's order and case. Shared like ``head``: not to be changed."""
        self.body = body
        """Received pieces, not joined; empty list for no body."""
        self.body_size = body_size
        self.received = received
        """``time.monotonic`` when the first byte of the request was read."""
        self.peer: str = connection.peer
        """``/127.0.0.1:57272``, or ``127.0.0.1`` for unix sockets, as the access log spells it."""
        self.on_gone: Callable[[], None] | None = None
        """Called once if the client disconnects before the answer is complete. The app sets it."""
        self.gone = False
        """The client has disconnected: whatever is sent to it now is dropped."""
        self.answered = False
        """The answer is complete."""
        self.started = False
        """A streamed answer has begun."""

    def respond(
        self, status: int, phrase: str, headers: bytes, body: bytes, *, close: bool
    ) -> None:
        r"""Send the whole answer.

        ``headers`` is a ready block of ``name: value\r\n`` lines without content-length and
        connection, which are added last, in this order. ``close`` ends the connection afterwards.
        Statuses 204 and 304, and HEAD, lose their body.

        Raises RuntimeError if an answer was begun already. A client that has gone gets nothing.
        """
        if self.answered or self.started:
            if self.gone:
                return
            raise RuntimeError("this request has an answer already")
        self.answered = True
        self.on_gone = None  # it often refers back to the exchange
        connection = self._connection
        head = self.head
        close = close or not head.keep_alive or connection.draining
        ending = b"connection: close\r\n\r\n" if close else b"connection: keep-alive\r\n\r\n"
        line = _LINES.get((status, phrase)) or _line(status, phrase)
        if status in _EMPTY:
            answer = b"%b%b%b" % (line, headers, ending)
        elif head.method == b"HEAD":
            answer = b"%b%bcontent-length: %d\r\n%b" % (line, headers, len(body), ending)
        elif len(body) < _LARGE:
            answer = b"%b%bcontent-length: %d\r\n%b%b" % (line, headers, len(body), ending, body)
        else:
            answer = b"%b%bcontent-length: %d\r\n%b" % (line, headers, len(body), ending)
            connection.writelines((answer, body))
            connection.answered(close=close)
            return
        if not close:
            connection.post(answer)
            return
        connection.write(answer)
        connection.answered(close=True)

    def start(self, status: int, phrase: str, headers: bytes, *, close: bool) -> None:
        """Begin a streamed answer: chunked for HTTP/1.1; for HTTP/1.0 until the connection closes.

        Raises RuntimeError if an answer was begun already.
        """
        if self.answered or self.started:
            if self.gone:
                return
            raise RuntimeError("this request has an answer already")
        self.started = True
        self._bodyless = status in _EMPTY or self.method == b"HEAD"
        self._chunked = self.http_version == "1.1"
        draining = self._connection.draining
        self._close = close or not self._chunked or not self.head.keep_alive or draining
        coding = (
            b"transfer-encoding: chunked\r\n" if self._chunked and status not in _EMPTY else b""
        )
        ending = b"connection: close\r\n\r\n" if self._close else b"connection: keep-alive\r\n\r\n"
        self._connection.write(b"%b%b%b%b" % (status_line(status, phrase), headers, coding, ending))

    def write(self, piece: bytes) -> bool:
        """Send one piece as one chunk. False when the client reads too slowly: see ``drained``."""
        if self.gone or self._bodyless or not piece:
            return True
        if not self._chunked:
            self._connection.write(piece)
        elif len(piece) < _LARGE:
            self._connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self._connection.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
        return self._connection.writable

    def drained(self) -> Awaitable[None]:
        """Completes when the client has read enough for the next ``write``, or has gone."""
        return self._connection.drained()

    def end(self) -> None:
        """The streamed answer is complete."""
        if self.answered:
            return
        self.answered = True
        self.on_gone = None
        if self._chunked and not self._bodyless:
            self._connection.write(b"0\r\n\r\n")
        self._connection.answered(close=self._close)

    def abort(self) -> None:
        """Break the connection without the terminating chunk.

        What was written is still sent, unless its end could be taken for the end of the answer.
        """
        if self.answered:
            return
        self.answered = True
        if not self.started or not self._chunked:
            self._connection.abort()
        self._connection.answered(close=True)

    def lose(self) -> None:
        """Called by the connection when the client has disconnected."""
        if self.answered:
            return
        self.answered = self.gone = True
        if self.on_gone is not None:
            self.on_gone()


_EMPTY = frozenset((204, 304))
