"""Log files that roll over by day and size, and the thread that writes them.

``logs.logs`` hands finished text to a ``Writer``; only the writer's thread touches the disk,
so a slow one never holds up a request. Rolled files are compressed beside the live one as
``access_log.2026-11-22.1.log.gz``; the oldest go.
"""

from __future__ import annotations

import gzip
import re
import shutil
import sys
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEGABYTE = 1024 * 1024
PENDING_LIMIT = 32 * MEGABYTE
"""Characters that may wait for the disk; what comes beyond is dropped and counted."""


class Sink(Protocol):
    """Where text ends: a file or the console."""

    def write(self, text: str) -> None:
        """Append ``text``. Raises OSError."""

    def close(self) -> None:
        """Nothing more comes."""


class Console:
    """Standard output, or another stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Print ``text`` at once."""
        self._stream.write(text)
        self._stream.flush()

    def close(self) -> None:
        """The stream stays open: it is not ours."""


class RollingFile:
    """One log file. ``keep`` rolled ones stay beside it."""

    def __init__(
        self,
        path: Path,
        max_bytes: int = 100 * MEGABYTE,
        keep: int = 5,
        today: Callable[[], str] = lambda: time.strftime("%Y-%m-%d"),
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._today = today
        self._file: TextIO | None = None
        self._size = 0
        self._day = ""
        self._compressor: threading.Thread | None = None
        self._rolled = re.compile(
            re.escape(path.stem)
            + r"\.(\d{4}-\d\d-\d\d)\.(\d+)"
            + re.escape(path.suffix)
            + r"(\.gz)?"
        )

    def write(self, text: str) -> None:
        """Append whole lines, in a new file if it is time. Raises OSError."""
        day = self._today()
        if self._file is not None and (day != self._day or self._size >= self._max_bytes):
            self._roll()
        file = self._file or self._open(day)
        file.write(text)
        file.flush()
        self._size += len(text)

    def close(self) -> None:
        """Close the file; waits for a compression under way."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._await_compression()

    def _open(self, day: str) -> TextIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            found = self.path.stat()
            self._size = found.st_size
            self._day = time.strftime("%Y-%m-%d", time.localtime(found.st_mtime))
            if self._size and (self._day != day or self._size >= self._max_bytes):
                self._roll()
        self._day = day
        self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
        return self._file

    def _roll(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._size = 0
        numbers = [number for day, number, _ in self._old() if day == self._day]
        number = max(numbers, default=0) + 1
        rolled = self.path.with_name(f"{self.path.stem}.{self._day}.{number}{self.path.suffix}")
        self.path.rename(rolled)
        # One at a time, so that none is deleted while it is being compressed.
        self._await_compression()
        self._prune()
        self._compressor = threading.Thread(
            target=_compress, args=(rolled,), name="log-compression"
        )
        self._compressor.start()

    def _await_compression(self) -> None:
        if self._compressor is not None:
            self._compressor.join()
            self._compressor = None

    def _prune(self) -> None:
        for _, _, path in sorted(self._old())[: -self._keep or None]:
            with suppress(OSError):
                path.unlink()

    def _old(self) -> list[tuple[str, int, Path]]:
        found = []
        for path in self.path.parent.iterdir():
            matched = self._rolled.fullmatch(path.name)
            if matched:
                found.append((matched[1], int(matched[2]), path))
        return found


class Writer:
    """A thread that writes what it is handed, in order.

    ``put`` never blocks and never raises. A sink that fails is reported once on standard error
    and tried again with the next text; what did not fit or could not be written is counted.
    """

    def __init__(self, name: str, limit: int = PENDING_LIMIT) -> None:
        self.lost = 0
        """Characters that were dropped."""
        self._limit = limit
        self._pending = 0
        self._account = threading.Lock()
        self._queue: SimpleQueue[tuple[Sink, str] | None] = SimpleQueue()
        self._failing: set[Sink] = set()
        self._sinks: set[Sink] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, sink: Sink, text: str) -> None:
        """Have ``text`` written to ``sink`` soon."""
        with self._account:
            if self._pending and self._pending + len(text) > self._limit:
                self.lost += len(text)
                return
            self._pending += len(text)
        self._queue.put((sink, text))

    @property
    def idle(self) -> bool:
        """Nothing is waiting to be written."""
        return not self._pending

    def close(self, timeout: float = 10.0) -> None:
        """Write what is pending and end the thread, within ``timeout`` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            sink, text = item
            self._sinks.add(sink)
            try:
                sink.write(text)
            except (OSError, ValueError) as error:
                self._report(sink, error)
                with self._account:
                    self.lost += len(text)
            else:
                self._failing.discard(sink)
            with self._account:
                self._pending -= len(text)
        for sink in self._sinks:
            with suppress(OSError):
                sink.close()

    def _report(self, sink: Sink, error: Exception) -> None:
        if sink not in self._failing:
            self._failing.add(sink)
            name = getattr(sink, "path", "the console")
            with suppress(OSError, ValueError):
                sys.stderr.write(f"flambeau: cannot write to {name}: {error}\n")


def _compress(path: Path) -> None:
    packed = path.with_name(path.name + ".gz")
    partial = path.with_name(path.name + ".gz.part")
    try:
        # Level 1: three times faster than the default, and log lines shrink well anyway.
        with path.open("rb") as source, gzip.open(partial, "wb", compresslevel=1) as target:
            shutil.copyfileobj(source, target, MEGABYTE)
        partial.rename(packed)
        path.unlink()
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        with suppress(OSError, ValueError):
            sys.stderr.write(f"flambeau: cannot compress {path}: {error}\n")
