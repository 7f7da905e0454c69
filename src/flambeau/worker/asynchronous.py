"""Coroutines of asynchronous handlers, run to their end.

Imported by ``service`` when a handler first returns an awaitable, since asyncio is heavy. One
event loop lives as long as the worker, so that what a handler started on it goes on between
batches as far as batches run.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

_runner: asyncio.Runner | None = None


def await_answer(awaitable: Awaitable[Any]) -> Any:
    """What ``awaitable`` returns; its exception is raised here."""
    return event_loop().run_until_complete(_await(awaitable))


def event_loop() -> asyncio.AbstractEventLoop:
    """The worker's event loop, made at the first call."""
    global _runner  # noqa: PLW0603 - one loop per process, as asyncio itself has it
    if _runner is None:
        _runner = asyncio.Runner()
    return _runner.get_loop()


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
