"""Long work on the event loop, in pieces short enough that requests do not wait for it.

Work that would hold the loop is written as an iterator, one short piece a step. ``spread`` runs it
between requests, ``finish`` at once.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

STRETCH = 0.00003
"""Seconds the loop is held at a time, and a piece more."""
REST = 0.001
"""Seconds of rest after a stretch when nothing else was to be done; the least a loop's timer knows.

Going on at once would keep the processor busy for as long as the whole work takes, and a worker that
is woken on it meanwhile would wait for its slice: milliseconds."""
IDLE = 0.00002
"""Seconds within which a loop that has nothing else to do comes back."""
SHARE = 0.25
"""Of the time that everything else took meanwhile: held so long on a busy loop, to keep pace."""


async def spread(pieces: Iterable[object], stretch: float = STRETCH) -> None:
    """Run all the pieces, ``stretch`` seconds at a time; what else there is to do goes between."""
    until = perf_counter() + stretch
    for _ in pieces:
        left = perf_counter()
        if left < until:
            continue
        await asyncio.sleep(0)
        back = perf_counter()
        if back - left < IDLE:
            await asyncio.sleep(REST)
            until = perf_counter() + stretch
        else:
            until = back + max(stretch, SHARE * (back - left))


def finish(pieces: Iterable[object]) -> None:
    """Run all the pieces now."""
    for _ in pieces:
        pass
