"""How the jobs of a version travel: the table of modes.

A mode is what the batcher, the server's feeds and the worker's loop have agreed on. Its name travels in
``Load``; the worker's half is ``worker.batches``, ``worker.concurrent`` and ``worker.steps``.

| mode | in flight | what a worker's death loses |
| --- | --- | --- |
| batches | one running, full ones behind it | the first unanswered batch |
| concurrent | up to a limit, in any order | all that were sent |
| steps | up to the batch size, one call of the handler per step | all that were sent |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flambeau.jobs.batching import DynamicBatcher
from flambeau.jobs.feed import BatchFeed, Prefetch
from flambeau.jobs.open_feed import OpenFeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.jobs.batching import Batcher, BatchPolicy
    from flambeau.jobs.feed import Feed
    from flambeau.jobs.job import Job
    from flambeau.supervision.channel import Channel

    FeedMaker = Callable[[Channel, str, Callable[[Job], None]], Feed]
    """Makes the feed of one worker, given its channel, its name, and whom to tell of gone clients."""

AT_ONCE = 100
"""Requests a concurrent handler is given at once, as in the original."""


@dataclass(slots=True)
class Window:
    """What bounds the jobs that one worker of a version may hold."""

    prefetch: Prefetch = field(default_factory=Prefetch)
    batch_size: int = 1
    at_once: int = AT_ONCE


def feeds(mode: str, window: Window) -> FeedMaker:
    """What makes the feeds of a version in ``mode``. Changes of ``window`` are seen at once."""
    return _MODES[mode][0](window)


def batcher(mode: str, policy: BatchPolicy, capacity: int, title: str) -> Batcher:
    """What holds the waiting jobs of a version in ``mode``; ``title`` is its name in messages."""
    return _MODES[mode][1](policy, capacity, title)


def _batches(window: Window) -> FeedMaker:
    return lambda channel, worker, gone: BatchFeed(channel, worker, gone, window.prefetch)


def _concurrent(window: Window) -> FeedMaker:
    return lambda channel, worker, gone: OpenFeed(
        channel, worker, gone, lambda: window.at_once, deaf_at_work=False
    )


def _steps(window: Window) -> FeedMaker:
    return lambda channel, worker, gone: OpenFeed(
        channel, worker, gone, lambda: window.batch_size, deaf_at_work=True
    )


_MODES: dict[str, tuple[Callable[[Window], FeedMaker], Callable[[BatchPolicy, int, str], Batcher]]]
_MODES = {
    "batches": (_batches, DynamicBatcher),
    "concurrent": (_concurrent, DynamicBatcher),
    "steps": (_steps, DynamicBatcher),
}
"""What makes the feeds of a version, and what makes its batcher."""
