"""Sends answers, then logs and counts them: where every request of this face ends.

One desk serves all listeners. ``rest.app`` and ``rest.prediction`` hand it whole replies and
errors; the access log and the counters are handed in and only ever told what happened.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from flambeau.errors import BadRequest, FlambeauError, InternalError
from flambeau.rest.replies import (
    HeaderBlocks,
    HeaderPairs,
    error_body,
    fresh_id,
    phrase_of,
    shown_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.http.exchange import Exchange
    from flambeau.rest.route import Reply

_log = logging.getLogger("flambeau.rest")
ERROR = 400
"""The connection is closed from this status on: clients of the original count on it."""
SERVER_ERROR = 500


class AccessLog(Protocol):
    """Where a line per answered request goes. Implemented by ``config.logs``."""

    def line(  # noqa: PLR0917 - called for every request; positional is quickest
        self,
        peer: str,
        method: bytes,
        target: bytes,
        version: str,
        status: int,
        ms: int,
        request_id: str = "",
    ) -> None:
        """One request was answered with ``status`` after ``ms`` milliseconds."""


class RequestCount(Protocol):
    """Where answers are counted. Implemented by ``metrics.registry``."""

    def requests(self, status: int) -> None:
        """One request was answered with ``status``."""


class Desk:
    """Writes to exchanges; knows the headers all answers share."""

    def __init__(
        self, access_log: AccessLog, count: RequestCount, cors: HeaderPairs | None = None
    ) -> None:
        """``cors`` are the Access-Control headers of the settings, in order; None for none."""
        self.blocks = HeaderBlocks(cors or [])
        self._access_log = access_log
        self._count = count

    def send(self, exchange: Exchange, request_id: str, reply: Reply) -> None:
        """Answer with a whole reply of the server's own."""
        status = reply.status
        block = self.blocks.standard(request_id, reply.content_type)
        if reply.headers:
            block += "".join(f"{name}: {value}\r\n" for name, value in reply.headers).encode()
        exchange.respond(status, phrase_of(status), block, reply.body, close=status >= ERROR)
        self.note(exchange, status, request_id)

    def fail(
        self,
        exchange: Exchange,
        request_id: str,
        error: BaseException,
        body_of: Callable[[FlambeauError], bytes] = error_body,
    ) -> None:
        """Answer with an error. What is not a FlambeauError is logged and hidden from the client."""
        if not isinstance(error, FlambeauError):
            _log.error(
                "unexpected error request_id=%s method=%s target=%s",
                request_id,
                exchange.method.decode("latin-1"),
                ascii(exchange.target.decode("latin-1")),
                exc_info=error,
            )
        error = shown_error(error)
        block = self.blocks.of_error(request_id, error)
        status = error.status
        exchange.respond(status, phrase_of(status), block, body_of(error), close=True)
        self.note(exchange, status, request_id)

    def note(self, exchange: Exchange, status: int, request_id: str) -> None:
        """Log and count one answer; a stream is noted at its first piece."""
        ms = int((monotonic() - exchange.received) * 1000)
        self._access_log.line(
            exchange.peer,
            exchange.method,
            exchange.target,
            exchange.http_version,
            status,
            ms,
            request_id,
        )
        self._count.requests(status)

    def refuse(self, status: int, message: str) -> tuple[bytes, bytes]:
        """Header block and body for bytes that never became a request."""
        error = BadRequest(message) if status < SERVER_ERROR else InternalError(message)
        error.status = status
        return self.blocks.of_error(fresh_id(), error), error_body(error)
