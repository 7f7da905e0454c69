"""The door of a TLS listener.

A client that speaks TLS gets it, one that speaks plain HTTP is told so in plain HTTP: that needs
a door of its own, since a loop's own TLS server ends such a connection without a word.

The first byte decides. It is looked at without being taken (MSG_PEEK) before a transport exists,
so the TLS handshake finds its bytes untouched. Used by ``http.listeners`` only.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from flambeau.http.protocol import Connection
from flambeau.http.refusal import RequestLine, Why

if TYPE_CHECKING:
    import ssl

    from flambeau.http.exchange import Exchange
    from flambeau.http.reception import Reception

log = logging.getLogger("flambeau.http")

_HANDSHAKE_RECORD = b"\x16"
_FIRST_BYTE_SECONDS = 30.0
_RETRY_SECONDS = 1.0
_ACCEPT_AT_ONCE = 100


class Doorman:
    """Accepts on one listening socket; one short task per new connection."""

    def __init__(
        self,
        sock: socket.socket,
        reception: Reception,
        context: ssl.SSLContext,
    ) -> None:
        self._sock = sock
        self._reception = reception
        self._context = context
        self._arriving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Accept no more; handshakes under way are given up. A second call does nothing."""
        if self._sock.fileno() < 0:
            return
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        for task in self._arriving:
            task.cancel()

    def _watch(self) -> None:
        self._retry = None
        self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        """Take whoever waits, a bounded number at a time."""
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                client, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # out of file descriptors, most likely
                log.warning("accepting failed error=%s", error)
                self._loop.remove_reader(self._sock)
                self._retry = self._loop.call_later(_RETRY_SECONDS, self._watch)
                return
            if len(self._arriving) >= self._reception.limits.connections:
                client.close()
                continue
            task = self._loop.create_task(self._admit(client))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _admit(self, client: socket.socket) -> None:
        """Give the client a transport, or close its socket."""
        loop = self._loop
        try:
            async with asyncio.timeout(_FIRST_BYTE_SECONDS):
                first = await _peek(client)
            if first == _HANDSHAKE_RECORD:
                await loop.connect_accepted_socket(
                    lambda: Connection(self._reception), client, ssl=self._context
                )
            elif first:
                await loop.connect_accepted_socket(lambda: PlainConnection(self._reception), client)
            else:
                client.close()
        except OSError as error:  # time-outs and TLS errors included
            log.debug("a client could not be admitted error=%s", error)
            client.close()
        except asyncio.CancelledError:
            client.close()
            raise


async def _peek(client: socket.socket) -> bytes:
    """The first byte the client sends, left where it is; empty if it sends none."""
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    readable: asyncio.Future[None] = loop.create_future()
    descriptor = client.fileno()

    def look() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(descriptor, look)
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)
    return client.recv(1, socket.MSG_PEEK)


class PlainConnection(Connection):
    """Refuses the first request, since it did not come over TLS."""

    __slots__ = ()

    def _begin(self, exchange: Exchange) -> None:
        asked = RequestLine(exchange.method, exchange.target, exchange.http_version)
        self._refuse(Why.PLAIN, asked)
