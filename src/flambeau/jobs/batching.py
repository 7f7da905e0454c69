"""Which jobs go next to a worker.

``Batcher`` is the seam: sequences and continuous batching are other batchers for the same
dispatch. ``DynamicBatcher`` is the plain one, with two ways to wait:

- ``adaptive``: an idle worker takes what is there at once. While it computes, jobs gather, so
  batches grow with the load and nobody waits for company that is not coming.
- ``strict``: a batch leaves when it is full or when its oldest job has waited
  ``max_batch_delay`` since it arrived, as TorchServe's documents describe the delay.

A worker that is busy is only ever given full batches ahead of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flambeau.jobs.job import Job
    from flambeau.jobs.queue import JobQueue


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How a version batches: at most ``size`` jobs, waiting at most ``delay`` seconds."""

    size: int = 1
    delay: float = 0.1
    strict: bool = False


class Batcher(Protocol):
    """Decides which jobs go next to a worker."""

    policy: BatchPolicy

    def take(self, queue: JobQueue, now: float, *, idle: bool) -> list[Job]:
        """The jobs to send now to a worker that is ``idle`` or busy; empty for none."""

    def wait(self, queue: JobQueue, now: float) -> float | None:
        """Seconds until ``take`` may answer differently for an idle worker; None for never."""


class DynamicBatcher:
    """Batches whatever waits, by size and delay."""

    def __init__(self, policy: BatchPolicy) -> None:
        self.policy = policy

    def take(self, queue: JobQueue, now: float, *, idle: bool) -> list[Job]:
        """See Batcher."""
        policy = self.policy
        waiting = len(queue)
        if not waiting:
            return []
        if waiting >= policy.size:
            jobs = queue.take(policy.size, now)
            if len(jobs) == policy.size or _ended_by_one_alone(jobs, queue):
                return jobs
            queue.put_back(jobs)  # some of those waiting had gone: this is no full batch
        if not idle:
            return []
        if policy.strict:
            head = queue.head()
            if head is None:
                return []
            if not head.alone and now - head.arrived < policy.delay:
                return []
        return queue.take(policy.size, now)

    def wait(self, queue: JobQueue, now: float) -> float | None:
        """See Batcher."""
        head = queue.head()
        if head is None or not self.policy.strict:
            return None
        return max(0.0, head.arrived + self.policy.delay - now)


def _ended_by_one_alone(jobs: list[Job], queue: JobQueue) -> bool:
    """Whether ``jobs``, just taken, can grow no more: a job that travels alone is or follows it."""
    following = queue.head()
    return bool(jobs) and (jobs[0].alone or (following is not None and following.alone))
