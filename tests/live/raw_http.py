"""A bare HTTP/1.1 client over asyncio streams, for tests that must see single bytes and hang up.

It checks nothing for the caller and repeats nothing: one request, one answer, as it came.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMIT = 60.0
"""Seconds after which a request counts as hanging."""


@dataclass(frozen=True)
class Reply:
    """One whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The sentence of an error."""
        return str(self.json()["message"])


class Wire:
    """One connection; requests go one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, method: str, target: str, body: bytes = b"", *headers: str) -> None:
        """Write a request and return at once."""
        lines = [f"{method} {target} HTTP/1.1", "host: test", f"content-length: {len(body)}"]
        self.writer.write("\r\n".join([*lines, *headers, "", ""]).encode() + body)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def chunk(self) -> bytes:
        """The next piece of a chunked body; empty for the last one."""
        size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
        piece = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return piece

    async def reply(self) -> Reply:
        """The next answer, whole."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            pieces = []
            while piece := await self.chunk():
                pieces.append(piece)
            return Reply(status, headers, b"".join(pieces))
        length = int(headers.get("content-length", "0"))
        return Reply(status, headers, await self.reader.readexactly(length))

    async def ask(self, method: str, target: str, body: bytes = b"", *headers: str) -> Reply:
        """Send a request and wait for its answer."""
        self.send(method, target, body, *headers)
        return await asyncio.wait_for(self.reply(), LIMIT)

    def hang_up(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


@asynccontextmanager
async def wire(address: str, **options: Any) -> AsyncIterator[Wire]:
    """A connection to ``address``; ``options`` go to ``asyncio.open_connection``."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, **options)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def ask(address: str, method: str, target: str, body: bytes = b"") -> Reply:
    """One request on a connection of its own."""
    async with wire(address) as one:
        return await one.ask(method, target, body)


async def predict(address: str, model: str, body: bytes = b"x") -> Reply:
    """One prediction on a connection of its own."""
    return await ask(address, "POST", f"/predictions/{model}", body)
