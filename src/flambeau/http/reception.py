"""What the connections of one listener share.

The application, the limits, and the list of who is connected, swept once per second in place of
timers.

Made by ``http.listeners``; connections sign in and out.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

from flambeau.http.reading import Heads

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.http.exchange import Exchange
    from flambeau.http.limits import Limits
    from flambeau.http.protocol import Connection
    from flambeau.http.refusal import Refuse

    Application = Callable[[Exchange], None]

log = logging.getLogger("flambeau.http")

_SWEEP_SECONDS = 1.0
_AT_A_TIME = 64
"""Connections checked at a stretch: some 50 microseconds."""
_BETWEEN_SECONDS = 0.001


class Outbox:
    """Whole answers that wait for the end of this round of the event loop.

    The answers of one batch come within microseconds of each other. Written one by one, each of
    them wakes a client that has just gone to sleep again, which costs the writer more than the
    write; written in one go they find their reader awake.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Connection, bytes]] = []

    def put(self, connection: Connection, answer: bytes) -> None:
        """Have ``connection`` write ``answer`` at the end of this round."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._send)
        self._waiting.append((connection, answer))

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection, answer in waiting:
            try:
                connection.write(answer)
            except Exception:
                log.exception("an answer could not be written; its connection ends")
                connection.abort()
        for connection, _ in waiting:
            try:
                connection.sent_all()
            except Exception:
                log.exception("a connection could not go on after its answer; it ends")
                connection.abort()


class Reception:
    """The connections of one listener."""

    def __init__(self, application: Application, limits: Limits, refuse: Refuse) -> None:
        self.application = application
        self.limits = limits
        self.refuse = refuse
        """What the application says to requests that never reach it."""
        self.heads = Heads(limits)
        self.outbox = Outbox()
        self._connections: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._unseen: list[Connection] = []
        """Those the sweep under way has still to check."""
        self._empty: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._connections)

    def welcome(self, connection: Connection) -> bool:
        """Take a new connection into the list; False if there are too many to serve it."""
        self._connections.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
        return len(self._connections) <= self.limits.connections and self._empty is None

    def farewell(self, connection: Connection) -> None:
        """The connection is over."""
        self._connections.discard(connection)
        if not self._connections:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._unseen.clear()
            if self._empty is not None:
                self._empty.set()

    def retire(self) -> None:
        """Idle connections end now, busy ones after their answer."""
        if self._empty is None:
            self._empty = asyncio.Event()
        for connection in list(self._connections):
            connection.retire()
        if not self._connections:
            self._empty.set()

    async def drained(self) -> None:
        """Returns when the last connection is over; call ``retire`` before."""
        if self._empty is not None:
            await self._empty.wait()

    def abort(self) -> None:
        """All connections end at once."""
        for connection in list(self._connections):
            connection.abort()

    def _sweep(self) -> None:
        self._unseen = list(self._connections)
        self._look()

    def _look(self) -> None:
        """Check a few connections, and come back for the others: requests go between."""
        now = monotonic()
        seen = self._unseen[-_AT_A_TIME:]
        del self._unseen[-_AT_A_TIME:]
        for connection in seen:
            if connection not in self._connections:
                continue
            try:
                connection.check(now)
            except Exception:
                log.exception("sweep failed on a connection")
                connection.abort()
        loop = asyncio.get_running_loop()
        if self._unseen:
            self._timer = loop.call_later(_BETWEEN_SECONDS, self._look)
        else:
            self._timer = (
                loop.call_later(_SWEEP_SECONDS, self._sweep) if self._connections else None
            )
