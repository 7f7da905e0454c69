"""The door of a TLS listener.

A client that speaks TLS gets it, one that speaks plain HTTP is told so in plain HTTP.

The first byte decides. It is looked at without being taken (MSG_PEEK) before a transport exists,
so the TLS handshake finds its bytes untouched. Used by ``http.listeners`` only.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

log = logging.getLogger("flambeau.http")

_HANDSHAKE_RECORD = b"\x16"
_FIRST_BYTE_SECONDS = 30.0
_PLAIN_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_ACCEPT_AT_ONCE = 100

_BODY = b'{\n  "status": "This TorchServe instance only accepts HTTPS requests"\n}\n'
_ONLY_HTTPS = (
    b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Doorman:
    """Accepts on one listening socket; one short task per new connection."""

    def __init__(
        self,
        sock: socket.socket,
        connection: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        *,
        limit: int,
    ) -> None:
        self._sock = sock
        self._connection = connection
        self._context = context
        self._limit = limit
        """Clients whose handshake may be pending at once."""
        self._guests: set[asyncio.Task[None]] = set()
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
        for guest in self._guests:
            guest.cancel()

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
            if len(self._guests) >= self._limit:
                client.close()
                continue
            task = self._loop.create_task(self._admit(client))
            self._guests.add(task)
            task.add_done_callback(self._guests.discard)

    async def _admit(self, client: socket.socket) -> None:
        """Give the client a transport, or close its socket."""
        loop = self._loop
        try:
            async with asyncio.timeout(_FIRST_BYTE_SECONDS):
                first = await _peek(client)
            if first == _HANDSHAKE_RECORD:
                await loop.connect_accepted_socket(self._connection, client, ssl=self._context)
            elif first:
                await loop.connect_accepted_socket(_PlainGuest, client)
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


class _PlainGuest(asyncio.Protocol):
    """Answers the first request that is not TLS, and lets the client read it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._answered = False
        self._end = asyncio.get_running_loop().call_later(_PLAIN_SECONDS, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        if not self._answered and b"\n" in data:
            self._answered = True
            self._transport.write(_ONLY_HTTPS)
            self._transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._end.cancel()
