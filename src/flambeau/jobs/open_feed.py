"""Workers that have several jobs in hand at once: concurrent handlers, and handlers in steps.

Any reply may come in any order, each job is done for itself, and all that were sent may have
started when the worker dies. What the two kinds differ in is the bound and whether the worker
hears while it works; see ``jobs.modes``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.jobs.feed import Feed, SentBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flambeau.errors import FlambeauError
    from flambeau.jobs.job import Job
    from flambeau.supervision.channel import Channel
    from flambeau.transport.messages import Replies


class OpenFeed(Feed):
    """Up to ``limit()`` jobs at once, each with a last sign of life of its own."""

    eager = True

    def __init__(
        self,
        channel: Channel,
        worker: str,
        gone: Callable[[Job], None],
        limit: Callable[[], int],
        *,
        deaf_at_work: bool,
    ) -> None:
        super().__init__(channel, worker, gone)
        self.deaf_at_work = deaf_at_work
        self._limit = limit
        self._jobs: dict[int, Job] = {}
        self._signs: dict[int, float] = {}
        """When the worker last gave a sign of each job, in seconds of ``time.monotonic``."""

    @property
    def idle(self) -> bool:
        """See Feed."""
        return not self._jobs

    @property
    def room(self) -> int:
        """See Feed."""
        if self.retired or self.channel.ended.done():
            return 0
        return max(0, self._limit() - len(self._jobs))

    def held(self) -> Iterable[Job]:
        """See Feed."""
        return list(self._jobs.values())

    def deliver(self, replies: Replies, blobs: list[bytes], now: float) -> SentBatch | None:
        """See Feed. What is finished by one frame counts as one batch."""
        jobs = self._jobs
        done = [jobs[one.id] for one in replies.replies if not one.more and one.id in jobs]
        failed = self._answer(jobs, replies, blobs)
        for reply in replies.replies:
            if reply.id in jobs:
                self._signs[reply.id] = now
            else:
                self._signs.pop(reply.id, None)
        if not done:
            return None
        finished = SentBatch(done, now - replies.handler_us / 1e6)
        finished.jobs.clear()
        finished.handler_us = replies.handler_us
        finished.failed = failed
        return finished

    def lose(self, error: FlambeauError) -> list[Job]:
        """See Feed."""
        for job in self._jobs.values():
            job.fail(error)
        self._jobs.clear()
        self._signs.clear()
        self._out = []
        return []

    def overdue(self, limit: float, now: float) -> bool:
        """See Feed."""
        if self._paused:
            self._heard(now)
        return any(sign + limit < now for sign in self._signs.values())

    def _hold(self, jobs: list[Job], now: float) -> None:
        for job in jobs:
            self._jobs[job.id] = job
            self._signs[job.id] = now

    def _heard(self, now: float) -> None:
        self._signs = dict.fromkeys(self._signs, now)
