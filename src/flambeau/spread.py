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
SHARE = 0.25
"""Of the time that everything else took meanwhile: held so long on a busy loop, to keep pace."""


async def spread(pieces: Iterable[object]) -> None:
    """Run all the pieces; what else the loop has to do goes between them."""
    until = perf_counter() + STRETCH
    for _ in pieces:
        left = perf_counter()
        if left >= until:
            await asyncio.sleep(0)
            back = perf_counter()
            until = back + max(STRETCH, SHARE * (back - left))


def finish(pieces: Iterable[object]) -> None:
    """Run all the pieces now."""
    for _ in pieces:
        pass
