"""One connection: what it reads becomes exchanges, one at a time and in order.

What the application answers is written. Callbacks only; no task, future or timer per request.

``http.listeners`` makes one per accepted client. It knows no model and no endpoint: requests go
to the application it is given, which also spells what is said to those that are refused here.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, cast

from flambeau.http.exchange import Exchange, status_line
from flambeau.http.head import BadMessage
from flambeau.http.reading import RequestReader
from flambeau.http.refusal import Refusal, RequestLine, Why

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection

    from flambeau.http.reception import Reception

log = logging.getLogger("flambeau.http")

_HOLD = 64 * 1024
"""Bytes read ahead while a request is being answered. Reading goes on up to here, since a client
that has gone is only seen while reading."""


class Connection(asyncio.Protocol):
    """One client's connection, from accept to close."""

    __slots__ = (
        "_drain",
        "_exchange",
        "_flushed",
        "_latest",
        "_lingering",
        "_moved",
        "_pumping",
        "_reading_paused",
        "_reception",
        "_transport",
        "_writing_paused",
        "draining",
        "peer",
        "reader",
        "sent",
        "since",
    )

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self.reader = RequestReader(reception.limits, reception.heads)
        self._exchange: Exchange | None = None
        self._lingering = False
        self._pumping = False
        self._reading_paused = False
        self._writing_paused = False
        self._drain: asyncio.Future[None] | None = None
        self.draining = False
        self.peer = ""
        self.sent = 0
        self._flushed = 0
        self.since = self._latest = self._moved = monotonic()
        """When the current phase began: idle, a request's first byte, or lingering."""

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sign in; one connection too many is told so."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = _peer_name(transport.get_extra_info("peername"))
        if not self._reception.welcome(self):
            self._reject(BadMessage("too many connections", Why.CROWDED))

    def data_received(self, data: bytes) -> None:
        """Begin the request that is now complete, if any; read ahead only a little."""
        if self._lingering:
            return
        if self._exchange is not None or self._writing_paused:
            self.reader.hold(data)
            if len(self.reader.held) > _HOLD:
                self._transport.pause_reading()
                self._reading_paused = True
            return
        self._latest = monotonic()
        if not self.reader.begun:
            self.since = self._latest
        self._pump(data)

    def eof_received(self) -> bool:
        """A client that closes its side has gone: False lets the transport close ours."""
        return False

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Let the writer go on, and serve what was asked meanwhile."""
        self._writing_paused = False
        self._release()
        if self._exchange is None and not self._lingering:
            self._resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Tell whoever still works on an answer that nobody will read it."""
        self._reception.farewell(self)
        exchange, self._exchange = self._exchange, None
        self._lingering = True
        if exchange is not None:
            try:
                exchange.lose()
            except Exception:
                log.exception("telling that a client has gone failed peer=%s", self.peer)
        self._release()

    # What an exchange calls

    @property
    def writable(self) -> bool:
        """The client keeps up with what it is sent."""
        return not self._writing_paused

    def post(self, answer: bytes) -> None:
        """Send a whole answer together with those that others get in this round of the loop."""
        if len(self._reception) > 1:
            self._reception.outbox.put(self, answer)
        else:
            self.write(answer)
            self.sent_all()

    def write(self, data: bytes) -> None:
        """Send ``data`` now, unless the client has gone meanwhile."""
        if not self._lingering:
            self._transport.write(data)
            self.sent += len(data)

    def writelines(self, pieces: Collection[bytes]) -> None:
        """The same for pieces that are too large to be joined."""
        if not self._lingering:
            self._transport.writelines(pieces)
            self.sent += sum(map(len, pieces))

    def sent_all(self) -> None:
        """What was posted is on its way: take up what was asked meanwhile."""
        if not self._lingering:
            self.answered(close=False)

    def answered(self, *, close: bool) -> None:
        """Go on with the next request, or end the connection."""
        self._exchange = None
        if close:
            self._linger()
            return
        self.since = monotonic()
        if not self._pumping and self.reader.held and not self._writing_paused:
            self._resume()

    def drained(self) -> Awaitable[None]:
        """Completes when the client has read enough, or has gone."""
        future: asyncio.Future[None]
        if self._writing_paused and not self._transport.is_closing():
            if self._drain is None:
                self._drain = asyncio.get_running_loop().create_future()
            return self._drain
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    # What the reception calls

    def retire(self) -> None:
        """Serve what has begun, then end."""
        self.draining = True
        if self._exchange is None and not self._lingering and not self.reader.begun:
            self._transport.close()

    def abort(self) -> None:
        """End at once; what is not sent yet is lost."""
        self._transport.abort()

    def check(self, now: float) -> None:
        """End the connection if its client has been too slow. Called once per second."""
        limits = self._reception.limits
        pending = self._transport.get_write_buffer_size()
        if pending:
            self._check_progress(now, pending)
            return
        self._moved = now
        waited = now - self.since
        if self._lingering:
            if waited > limits.linger_timeout:
                self._transport.abort()
        elif self._exchange is not None:
            return
        elif self.reader.in_body:
            allowed = limits.body_timeout + self.reader.body_size / limits.body_rate
            if waited > allowed or now - self._latest > limits.body_timeout:
                why = None if self.reader.refused else Why.SLOW_BODY
                self._reject(BadMessage("slow body", why))
        elif self.reader.begun:
            if waited > limits.header_timeout:
                self._reject(BadMessage("slow head", Why.SLOW_HEAD))
        elif waited > limits.idle_timeout or self.draining:
            self._transport.close()

    # Within

    def _check_progress(self, now: float, pending: int) -> None:
        flushed = self.sent - pending
        self.since = now
        if flushed != self._flushed:
            self._flushed = flushed
            self._moved = now
        elif now - self._moved > self._reception.limits.write_timeout:
            log.info("client reads too slowly peer=%s unread=%d", self.peer, pending)
            self._transport.abort()

    def _pump(self, data: bytes) -> None:
        """Begin requests until one is being answered or the bytes run out."""
        self._pumping = True
        reader = self.reader
        try:
            while True:
                head = reader.feed(data)
                if reader.interim:
                    self._tell_interim()
                if head is None:
                    return
                self._begin(Exchange(self, head, reader.body, reader.body_size, self.since))
                if (
                    self._exchange is not None
                    or self._lingering
                    or self._writing_paused
                    or not reader.held
                ):
                    return
                data = b""
        except BadMessage as error:
            self._reject(error)
        finally:
            self._pumping = False

    def _begin(self, exchange: Exchange) -> None:
        self._exchange = exchange
        try:
            self._reception.application(exchange)
        except Exception:
            log.exception("the application failed on a request target=%r", exchange.target)
            self._give_up(exchange)

    def _give_up(self, exchange: Exchange) -> None:
        """End the connection of a request that the application will not answer any more."""
        if exchange.started:
            exchange.abort()
        elif not exchange.answered:
            exchange.answered = exchange.gone = True
            self._exchange = None
            asked = RequestLine(exchange.method, exchange.target, exchange.http_version)
            self._refuse(Why.APPLICATION_FAILED, asked)

    def _resume(self) -> None:
        """Take up the bytes that were held while the last request was answered."""
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        if self.reader.held:
            self.since = monotonic()
            self._pump(b"")

    def _tell_interim(self) -> None:
        """Say what cannot wait for the body: go on, or what will not be served."""
        told, self.reader.interim = self.reader.interim, []
        for word in told:
            if isinstance(word, bytes):
                self.write(word)
            else:
                self.write(self._refusal(word.why, word.asked, close=word.last))

    def _reject(self, error: BadMessage) -> None:
        """Tell the client why, if there is something to say, and end the connection."""
        log.debug("refused peer=%s why=%s: %s", self.peer, error.why, error)
        self._tell_interim()
        if error.why is None:
            self._linger()
        else:
            self._refuse(error.why, self.reader.asked)

    def _refuse(self, why: Why, asked: RequestLine) -> None:
        """Answer a request that the application does not, and end the connection."""
        self.write(self._refusal(why, asked, close=True))
        self._linger()

    def _refusal(self, why: Why, asked: RequestLine, *, close: bool) -> bytes:
        """The answer in the application's words; nothing when it has none."""
        refusal = Refusal(why, self.peer, asked, self.since)
        try:
            status, phrase, headers, body = self._reception.refuse(refusal)
        except Exception:
            log.exception("the application failed on a refusal peer=%s why=%s", self.peer, why)
            return b""
        ending = b"connection: close\r\n\r\n" if close else b"\r\n"
        line = status_line(status, phrase)
        return b"%b%bcontent-length: %d\r\n%b%b" % (line, headers, len(body), ending, body)

    def _linger(self) -> None:
        """End our side; the client's bytes are dropped until it ends its own.

        Closing at once with bytes unread would make the kernel reset the connection, and the
        client might lose the answer.
        """
        self._lingering = True
        self.since = monotonic()
        if self._transport.is_closing():
            return
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _release(self) -> None:
        if self._drain is not None:
            self._drain.set_result(None)
            self._drain = None


def _peer_name(address: object) -> str:
    """The client as the access log spells it."""
    if not isinstance(address, tuple):
        return "127.0.0.1"
    host, port = address[:2]
    return f"/[{host}]:{port}" if ":" in host else f"/{host}:{port}"
