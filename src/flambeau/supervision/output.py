"""Worker stdout and stderr, line by line, into the model logs.

Two pipes a worker, read on the event loop. A line longer than ``LONGEST`` is cut into several:
a handler that prints without end cannot fill the server's memory.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    LineSink = Callable[[str, str, str], None]
    """Called with the worker's name, ``stdout`` or ``stderr``, and the line."""

LONGEST = 64 * 1024


class _Lines(asyncio.Protocol):
    def __init__(self, tell: Callable[[str], None], over: Callable[[], None]) -> None:
        self._tell = tell
        self._over = over
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._tell(line.decode("utf-8", "replace").rstrip("\r"))
        while len(self._rest) > LONGEST:
            self._tell(self._rest[:LONGEST].decode("utf-8", "replace"))
            self._rest = self._rest[LONGEST:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._rest:
            self._tell(self._rest.decode("utf-8", "replace"))
            self._rest = b""
        self._over()


class OutputPipes:
    """The two pipes of one worker. ``writers`` are the ends the worker gets.

    ``ended`` completes when everything that was printed has been read.
    """

    def __init__(self, name: str, sink: LineSink) -> None:
        self.name = name
        self._sink = sink
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._readers: list[int] = []
        self._followed: list[asyncio.ReadTransport] = []
        self._open = 2
        self.writers: list[int] = []
        for _ in range(2):
            reader, writer = os.pipe()
            self._readers.append(reader)
            self.writers.append(writer)

    async def follow(self) -> None:
        """Start reading; call once, then ``give_away`` when the worker has its ends."""
        following = asyncio.ensure_future(self._follow())
        # Not cancelled midway: event loops do not agree on who then closes the descriptor.
        try:
            await asyncio.shield(following)
        except asyncio.CancelledError:
            await asyncio.wait({following})
            raise

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        for stream in ("stdout", "stderr"):
            reader = self._readers.pop(0)
            transport, _ = await loop.connect_read_pipe(
                lambda stream=stream: _Lines(  # type: ignore[misc] # bound per loop round
                    lambda line, stream=stream: self._sink(self.name, stream, line),  # type: ignore[misc] # as above
                    self._over,
                ),
                os.fdopen(reader, "rb", buffering=0),
            )
            self._followed.append(transport)

    def give_away(self) -> None:
        """Close the writing ends here: the worker holds them now."""
        for writer in self.writers:
            os.close(writer)
        self.writers = []

    def close(self) -> None:
        """Read no more, even if a child of the worker still holds the writing ends."""
        for reader in self._readers:
            os.close(reader)
        self._readers = []
        for transport in self._followed:
            transport.close()

    def _over(self) -> None:
        self._open -= 1
        if not self._open and not self.ended.done():
            self.ended.set_result(None)
