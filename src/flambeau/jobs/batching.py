"""What waits, and which jobs go next to a worker.

``Batcher`` is the seam: one object per version holds the waiting jobs and decides who gets them;
``jobs.dispatch`` only moves them. What it knows of a worker is a ``Seat``. ``DynamicBatcher`` is
the plain one, first in, first out, with two ways to wait:

- ``adaptive``: an idle worker takes what is there at once. While it computes, jobs gather, so
  batches grow with the load and nobody waits for company that is not coming.
- ``strict``: a batch leaves when it is full or when its oldest job has waited
  ``max_batch_delay`` since it arrived, as TorchServe's documents describe the delay.

A worker that is busy and begins with nothing before it is done is only given full batches.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flambeau.errors import QueueFull

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flambeau.jobs.job import Job


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How a version batches: at most ``size`` jobs, waiting at most ``delay`` seconds."""

    size: int = 1
    delay: float = 0.1
    strict: bool = False


class Seat(Protocol):
    """What a batcher may know of a worker: nothing of sockets. Compared by identity."""

    @property
    def idle(self) -> bool:
        """Has nothing to do."""

    @property
    def room(self) -> int:
        """How many more jobs it may be sent now."""

    @property
    def eager(self) -> bool:
        """Begins at once with what it is sent, even while it has other jobs in hand."""


class Batcher(Protocol):
    """Holds the waiting jobs of one version and decides which seat gets which of them."""

    policy: BatchPolicy
    """May be replaced at any time; ``dispatch.wake`` then has it looked at."""
    capacity: int
    """Most jobs that ``put`` lets wait."""

    def __len__(self) -> int:
        """Jobs held, those whose clients have gone included: 0 means that nothing waits."""

    @property
    def pending(self) -> int:
        """Jobs that wait and still want an answer."""

    def put(self, job: Job) -> None:
        """Take ``job``, or raise the Unavailable error that says why it cannot wait here."""

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Take back jobs that never started, to the head in their old order, over any bound."""

    def join(self, seat: Seat) -> None:
        """A worker is ready and takes jobs."""

    def leave(self, seat: Seat) -> None:
        """A worker has gone; what it held that never started comes through ``give_back``."""

    def take(self, seat: Seat, now: float) -> list[Job]:
        """The jobs to send now to ``seat``, at most its room and marked as taken; often none."""

    def due(self, now: float) -> float | None:
        """When ``take`` may answer differently without any event; None for never.

        ``now`` and the answer are in seconds of ``time.monotonic``; the answer is after ``now``.
        """

    def drain(self) -> list[Job]:
        """Every waiting job, oldest first; nothing waits afterwards."""


class JobQueue:
    """Jobs in the order they came, bounded.

    Jobs whose clients have gone, or were answered at their deadline, take no room: they are swept
    out when the queue looks full and skipped when a batch is taken. ``title`` names the version in
    messages.
    """

    def __init__(self, capacity: int, title: str = "The model") -> None:
        self.capacity = capacity
        self._title = title
        self._jobs: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def pending(self) -> int:
        """Jobs that still want an answer."""
        return sum(not (job.cancelled or job.answered) for job in self._jobs)

    def put(self, job: Job) -> None:
        """Append ``job``. Raises QueueFull when as many wait as may."""
        if len(self._jobs) >= self.capacity:
            self._jobs = deque(job for job in self._jobs if not (job.cancelled or job.answered))
            if len(self._jobs) >= self.capacity:
                raise QueueFull(
                    f"{self._title} has {self.capacity} requests waiting, as many as its queue may "
                    "hold. Try again later, add workers, or raise job_queue_size."
                )
        self._jobs.append(job)

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Return jobs that never started to the head, in their old order, over any capacity."""
        for job in reversed(jobs):
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

    def take_first(self, most: int, now: float) -> list[Job]:
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


class DynamicBatcher(JobQueue):
    """Batches whatever waits, by size and delay. Implements ``Batcher``; any seat may take any job."""

    def __init__(self, policy: BatchPolicy, capacity: int = 100, title: str = "The model") -> None:
        super().__init__(capacity, title)
        self.policy = policy

    def join(self, seat: Seat) -> None:
        """See Batcher."""

    def leave(self, seat: Seat) -> None:
        """See Batcher."""

    def take(self, seat: Seat, now: float) -> list[Job]:
        """See Batcher."""
        policy = self.policy
        waiting = len(self._jobs)
        if not waiting:
            return []
        most = min(policy.size, seat.room)
        if waiting >= most:
            jobs = self.take_first(most, now)
            if len(jobs) == most or self._ended_by_one_alone(jobs):
                return jobs
            self.give_back(jobs)  # some of those waiting had gone: this is no full batch
        if not (seat.idle or seat.eager):
            return []
        if policy.strict:
            head = self.head()
            if head is None:
                return []
            if not head.alone and now - head.arrived < policy.delay:
                return []
        return self.take_first(most, now)

    def due(self, now: float) -> float | None:
        """See Batcher."""
        head = self.head() if self.policy.strict else None
        if head is None:
            return None
        due = head.arrived + self.policy.delay
        return due if due > now else None

    def _ended_by_one_alone(self, jobs: list[Job]) -> bool:
        """Whether ``jobs``, just taken, can grow no more: one that travels alone is or follows it."""
        following = self.head()
        return bool(jobs) and (jobs[0].alone or (following is not None and following.alone))
