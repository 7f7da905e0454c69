"""The bounded queue of one model version.

First in, first out. Jobs whose clients have gone, or were answered at their deadline, take no
room: they are swept out when the queue looks full and skipped when a batch is taken.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flambeau.jobs.job import Job


class JobQueue:
    """Jobs that wait, oldest first. ``capacity`` bounds what ``put`` takes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._jobs: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def pending(self) -> int:
        """Jobs that still want an answer."""
        return sum(not (job.cancelled or job.answered) for job in self._jobs)

    def put(self, job: Job) -> bool:
        """Append ``job``; False when the queue is full."""
        if len(self._jobs) >= self.capacity:
            self._sweep()
            if len(self._jobs) >= self.capacity:
                return False
        self._jobs.append(job)
        return True

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Return jobs that never started to the head, in their old order, over any capacity."""
        for job in reversed(list(jobs)):
            job.taken = 0.0
            self._jobs.appendleft(job)

    def head(self) -> Job | None:
        """The oldest job that still wants an answer; the dead before it are dropped."""
        jobs = self._jobs
        while jobs:
            job = jobs[0]
            if not (job.cancelled or job.answered):
                return job
            jobs.popleft()
        return None

    def take(self, most: int, now: float) -> list[Job]:
        """Up to ``most`` jobs for one batch, marked as taken at ``now``.

        A job that must travel alone ends the batch before it, or is the whole batch.
        """
        batch: list[Job] = []
        jobs = self._jobs
        while jobs and len(batch) < most:
            job = jobs[0]
            if job.alone and batch and not job.cancelled:
                break
            jobs.popleft()
            if job.cancelled or job.answered:
                continue
            job.taken = now
            batch.append(job)
            if job.alone:
                break
        return batch

    def drain(self) -> list[Job]:
        """Every waiting job, oldest first; the queue is empty afterwards."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs

    def _sweep(self) -> None:
        self._jobs = deque(job for job in self._jobs if not (job.cancelled or job.answered))
