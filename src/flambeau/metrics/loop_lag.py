"""How late the event loop is, and what made it late.

Everything the server does for requests runs on one loop: what holds it lets all of them wait.
``server`` starts one ``LoopWatch``. A timer of the loop records how long after its time it runs,
which any pause between two scrapes shows; a thread looks what the loop's thread is at when the
timer is overdue, for afterwards nobody could tell.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from pathlib import PurePath
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PERIOD = 0.1
"""Seconds between two looks at the clock."""
LATE = 0.1
"""Seconds of lag that are worth a warning."""
SAID_EVERY = 1.0
"""Seconds between two warnings at least; the metric has them all."""
_LOOP = frozenset({"asyncio/runners.py", "asyncio/base_events.py", "asyncio/events.py"})
_DEPTH = 5
_log = logging.getLogger("flambeau.metrics")


class LoopWatch:
    """Watches the running loop until ``close``. ``record`` is told each lag, in seconds."""

    def __init__(self, record: Callable[[float], None]) -> None:
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._loops_thread = threading.get_ident()
        self._due = monotonic() + PERIOD
        self._said_at = -SAID_EVERY
        self._seen = ""
        """What the loop's thread was at when it became too late."""
        self._timer = self._loop.call_later(PERIOD, self._tick)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        self._ended.set()
        self._thread.join()

    def _tick(self) -> None:
        now = monotonic()
        lag = max(0.0, now - self._due)
        self._record(lag)
        if lag >= LATE and now - self._said_at >= SAID_EVERY:
            self._said_at = now
            _log.warning(
                "the event loop was held up for %d ms, and every request with it, by %s",
                lag * 1000,
                self._seen or "something that let no other thread look",
            )
        self._seen = ""
        self._due = now + PERIOD
        self._timer = self._loop.call_later(PERIOD, self._tick)

    def _watch(self) -> None:
        pause = PERIOD
        while not self._ended.wait(pause):
            pause = self._due + LATE - monotonic()
            if pause <= 0:
                pause = LATE
                if not self._seen:
                    frame = sys._current_frames().get(self._loops_thread)  # noqa: SLF001
                    self._seen = place_of(frame)


def place_of(frame: FrameType | None) -> str:
    """What a thread of an event loop runs, innermost first: ``file:line function`` and its callers."""
    places: list[str] = []
    while frame is not None:
        code = frame.f_code
        file = "/".join(PurePath(code.co_filename).parts[-2:])
        if file in _LOOP:
            break
        places.append(f"{file}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    if not places:
        return "no code of the server: this process did not get a processor, or was stopped"
    return ", called by ".join(places[:_DEPTH])
