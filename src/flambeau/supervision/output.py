"""Worker stdout and stderr, line by line, into the model logs.

Two pipes a worker, read on the event loop. A line longer than ``LONGEST`` is cut into several:
a handler that prints without end cannot fill the server's memory.
"""

from __future__ import annotations

import asyncio
import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    LineSink = Callable[[str, str, str], None]
    """Called with the worker's name, ``stdout`` or ``stderr``, and the line."""

LONGEST = 64 * 1024


class _Lines:
    """One pipe: what comes through it, cut into lines. ``over`` is called once, at its end.

    It is read from its descriptor, not by a transport of the loop: uvloop closes the descriptor of
    a pipe twice, and the second time it may be another thread's, or the loop's own.
    """

    def __init__(self, reader: int, tell: Callable[[str], None], over: Callable[[], None]) -> None:
        os.set_blocking(reader, False)
        self._reader = open(reader, "rb", buffering=0)  # noqa: SIM115 - closed by ``close``
        self._tell = tell
        self._over = over
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(reader, self._readable)

    def _readable(self) -> None:
        data = self._reader.read(LONGEST)
        if data:
            self._received(data)
        elif data is not None:  # None: nothing there after all
            self.close()

    def _received(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._tell(line.decode("utf-8", "replace").rstrip("\r"))
        while len(self._rest) > LONGEST:
            self._tell(self._rest[:LONGEST].decode("utf-8", "replace"))
            self._rest = self._rest[LONGEST:]

    def close(self) -> None:
        """Read no more; the last line needs no end."""
        if self._reader.closed:
            return
        self._loop.remove_reader(self._reader.fileno())
        self._reader.close()
        if self._rest:
            self._tell(self._rest.decode("utf-8", "replace"))
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
        self._followed: list[_Lines] = []
        self._open = 2
        self.writers: list[int] = []
        for _ in range(2):
            reader, writer = os.pipe()
            self._readers.append(reader)
            self.writers.append(writer)

    def follow(self) -> None:
        """Start reading; call once, then ``give_away`` when the worker has its ends."""
        for stream in ("stdout", "stderr"):
            tell = functools.partial(self._sink, self.name, stream)
            self._followed.append(_Lines(self._readers.pop(0), tell, self._over))

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
        for lines in self._followed:
            lines.close()

    def _over(self) -> None:
        self._open -= 1
        if not self._open and not self.ended.done():
            self.ended.set_result(None)
