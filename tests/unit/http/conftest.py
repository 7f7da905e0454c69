"""A listener per test, a raw client to talk to it, and a clock that the sweep can be given."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvloop

from flambeau.http.limits import Limits
from flambeau.http.listeners import Address, Listener, open_listener
from flambeau.http.refusal import Spelling, Why

STATUS = {
    Why.MALFORMED: 400,
    Why.NO_HOST: 400,
    Why.OTHER_VERSION: 505,
    Why.SLOW_HEAD: 408,
    Why.SLOW_BODY: 408,
    Why.TOO_LARGE: 413,
    Why.EXPECTATION: 417,
    Why.CROWDED: 503,
    Why.PLAIN: 403,
    Why.APPLICATION_FAILED: 500,
}
HEADERS = b"content-type: text/plain\r\n"


def pytest_asyncio_loop_factories(config, item):
    """Every test here runs on both loops that serve."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer with a length."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split(" ")[1]), headers, body

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        self.writer.transport.abort()


class Site:
    """A listener and the clients connected to it."""

    def __init__(self, listener: Listener, refusals: list) -> None:
        self.listener = listener
        self.refusals = refusals
        """What was refused, in order."""
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.listener.port))
        self.clients.append(client)
        return client

    async def settled(self, connections: int) -> None:
        """Returns once the listener counts so many connections."""
        async with asyncio.timeout(5):
            while self.listener.connections != connections:  # noqa: ASYNC110 - a test's patience
                await asyncio.sleep(0.005)

    async def begun(self, connections: int = 1) -> None:
        """Returns once so many clients have sent the beginning of a request."""
        async with asyncio.timeout(5):
            while self._begun() < connections:  # noqa: ASYNC110 - a test's patience
                await asyncio.sleep(0.005)

    def _begun(self) -> int:
        return sum(each.reader.begun for each in self.listener._reception._connections)

    def sweep(self, seconds: float) -> None:
        """The sweep, as it would find things so many seconds from now."""
        loop = asyncio.get_running_loop()
        for connection in list(self.listener._reception._connections):
            connection.check(loop.time() + seconds)


def refuse(refusal) -> Spelling:
    """A status for each reason, and no word."""
    return Spelling(STATUS[refusal.why], "", b"", b"")


@pytest.fixture(name="refuse")
def refusing():
    return refuse


@pytest.fixture
async def serve():
    sites: list[Site] = []

    async def start(application, **limits) -> Site:
        address = Address.parse("http://127.0.0.1:0")
        refusals: list = []

        def note(refusal) -> Spelling:
            refusals.append(refusal)
            return refuse(refusal)

        listener = await open_listener(address, application, note, Limits(**limits))
        site = Site(listener, refusals)
        sites.append(site)
        return site

    yield start
    for site in sites:
        site.listener.close()
        site.listener.abort()
        for client in site.clients:
            await client.close()
        await site.listener.drained()


def respond(exchange, body: bytes = b"", status: int = 200, *, close: bool = False) -> None:
    exchange.respond(status, "", HEADERS, body or exchange.target, close=close)


@pytest.fixture
def held():
    """An application that answers nothing by itself, and the exchanges it was given."""
    exchanges: list = []
    arrived = asyncio.Event()

    class Held:
        def __call__(self, exchange) -> None:
            exchanges.append(exchange)
            arrived.set()

        async def next(self):
            async with asyncio.timeout(5):
                while not exchanges:
                    arrived.clear()
                    await arrived.wait()
            return exchanges.pop(0)

        @property
        def waiting(self) -> int:
            return len(exchanges)

    return Held()


@pytest.fixture
def answer():
    return respond
