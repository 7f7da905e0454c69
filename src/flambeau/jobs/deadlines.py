"""How long clients are kept waiting: ``clientTimeoutInMills`` of one version.

``jobs.dispatch`` has one for versions that set it. One timer for all jobs, since all of them get
the same time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.jobs.job import Job


class Deadlines:
    """Jobs that are to be answered at the latest ``limit`` seconds after they arrived."""

    def __init__(self, limit: float, late: Callable[[list[Job]], None]) -> None:
        """``late`` is told of jobs whose time is up."""
        self._limit = limit
        self._late = late
        self._jobs: deque[Job] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def watch(self, job: Job) -> None:
        """Keep the time of ``job``, which has just arrived."""
        job.deadline = job.arrived + self._limit
        jobs = self._jobs
        while jobs and (jobs[0].answered or jobs[0].cancelled):
            jobs.popleft()
        jobs.append(job)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limit, self._expire)

    def _expire(self) -> None:
        now = monotonic()
        jobs = self._jobs
        late: list[Job] = []
        while jobs and (jobs[0].answered or jobs[0].cancelled or jobs[0].deadline <= now):
            job = jobs.popleft()
            if not (job.answered or job.cancelled):
                late.append(job)
        self._timer = None
        if jobs:
            wait = jobs[0].deadline - now
            self._timer = asyncio.get_running_loop().call_later(wait, self._expire)
        if late:
            self._late(late)
