"""One request and its answer, as the faces see them.

The protocol makes an exchange when a request is complete and calls the application with it, on
the event loop. The application answers at once or later, in one piece (``respond``) or as a
stream (``start``, ``write``, ``end``). Nothing here is ever awaited on the hot path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Headers = list[tuple[bytes, bytes]]


class Exchange(Protocol):
    """What an application may use of one request. Implemented by ``http.protocol``."""

    method: bytes
    target: bytes
    """Path and query as the client sent them, undecoded."""
    http_version: str
    """``1.0`` or ``1.1``."""
    headers: Headers
    """In the client's order and case."""
    body: list[bytes]
    """Received pieces, not joined; empty list for no body."""
    body_size: int
    received: float
    """``time.monotonic`` when the first byte of the request was read."""
    peer: str
    """``/127.0.0.1:57272``, or ``127.0.0.1`` for unix sockets, as the access log spells it."""
    on_gone: Callable[[], None] | None
    """Called once if the client disconnects before the answer is complete. The app sets it."""

    def respond(self, status: int, phrase: str, headers: bytes, body: bytes, *, close: bool) -> None:
        """The whole answer. ``headers`` is a ready block of ``name: value\\r\\n`` lines without
        content-length and connection, which the protocol adds last, in this order. ``close``
        ends the connection afterwards. Statuses 204 and 304, and HEAD, lose their body."""

    def start(self, status: int, phrase: str, headers: bytes, *, close: bool) -> None:
        """Begin a streamed answer: chunked for HTTP/1.1; for HTTP/1.0 until the connection closes."""

    def write(self, piece: bytes) -> bool:
        """Send one piece as one chunk. False when the client reads too slowly: see ``drained``."""

    def drained(self) -> Awaitable[None]:
        """Completes when the client has read enough for the next ``write``."""

    def end(self) -> None:
        """The streamed answer is complete."""

    def abort(self) -> None:
        """Break the connection without the terminating chunk."""

    @property
    def gone(self) -> bool:
        """The client has disconnected."""


Application = "Callable[[Exchange], None]"
