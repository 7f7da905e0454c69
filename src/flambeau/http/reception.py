"""What the connections of one listener share.

The application, the limits, and the list of who is connected, swept once per second in place of
timers.

Made by ``http.listeners``; connections sign in and out.
"""

from __future__ import annotations

import asyncio
import json
import logging
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from flambeau.http.reading import Heads

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.http.exchange import Exchange
    from flambeau.http.limits import Limits

    Application = Callable[[Exchange], None]
    Refuse = Callable[[int, str], tuple[bytes, bytes]]

log = logging.getLogger("flambeau.http")

_SWEEP_SECONDS = 1.0


class Guest(Protocol):
    """What the reception asks of a connection."""

    def check(self, now: float) -> None:
        """End it if its client has been too slow."""

    def retire(self) -> None:
        """Serve what has begun, then end."""

    def abort(self) -> None:
        """End at once."""


def plain_refusal(status: int, message: str) -> tuple[bytes, bytes]:
    """Header block and body of a refusal, when the application does not spell them itself."""
    text = json.dumps({"code": status, "message": message}, indent=2, ensure_ascii=False) + "\n"
    return b"content-type: application/json\r\n", text.encode()


class Poster(Protocol):
    """What the outbox asks of a connection."""

    def send(self, answer: bytes) -> None:
        """Write ``answer``."""

    def sent_all(self) -> None:
        """The answers of this round have been written."""

    def abort(self) -> None:
        """End at once."""


class Outbox:
    """Whole answers that wait for the end of this round of the event loop.

    The answers of one batch come within microseconds of each other. Written one by one, each of
    them wakes a client that has just gone to sleep again, which costs the writer more than the
    write; written in one go they find their reader awake.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Poster, bytes]] = []

    def put(self, poster: Poster, answer: bytes) -> None:
        """Have ``poster`` send ``answer`` at the end of this round."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._send)
        self._waiting.append((poster, answer))

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for poster, answer in waiting:
            try:
                poster.send(answer)
            except Exception:
                log.exception("an answer could not be written; its connection ends")
                poster.abort()
        for poster, _ in waiting:
            try:
                poster.sent_all()
            except Exception:
                log.exception("a connection could not go on after its answer; it ends")
                poster.abort()


class Reception:
    """The connections of one listener."""

    def __init__(self, application: Application, limits: Limits, refuse: Refuse) -> None:
        self.application = application
        self.limits = limits
        self.refuse = refuse
        """Header block and body for a status and a message, when a request cannot reach the
        application."""
        self.heads = Heads(limits)
        self.outbox = Outbox()
        self._guests: set[Guest] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._guests)

    def welcome(self, guest: Guest) -> bool:
        """Take a new connection into the list; False if there are too many to serve it."""
        self._guests.add(guest)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
        return len(self._guests) <= self.limits.connections and self._empty is None

    def farewell(self, guest: Guest) -> None:
        """The connection is over."""
        self._guests.discard(guest)
        if not self._guests:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._empty is not None:
                self._empty.set()

    def retire(self) -> None:
        """Idle connections end now, busy ones after their answer."""
        if self._empty is None:
            self._empty = asyncio.Event()
        for guest in list(self._guests):
            guest.retire()
        if not self._guests:
            self._empty.set()

    async def drained(self) -> None:
        """Returns when the last connection is over; call ``retire`` before."""
        if self._empty is not None:
            await self._empty.wait()

    def abort(self) -> None:
        """All connections end at once."""
        for guest in list(self._guests):
            guest.abort()

    def _sweep(self) -> None:
        now = monotonic()
        for guest in list(self._guests):
            try:
                guest.check(now)
            except Exception:
                log.exception("sweep failed on a connection")
                guest.abort()
        self._timer = (
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
            if self._guests
            else None
        )
