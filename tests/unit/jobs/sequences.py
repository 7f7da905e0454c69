"""A batcher for sequences in its plain form: the second user of the seam.

A sequence is a run of jobs with one id (the first header named ``sequence``). It is bound to the
first seat that takes one of its jobs and stays there; one job of each sequence goes at a time. When
its seat leaves, the sequence is over: what waits of it is answered with an error.
"""

from __future__ import annotations

from collections import deque

from flambeau.errors import Unavailable
from flambeau.jobs.batching import BatchPolicy, Seat
from flambeau.jobs.job import Job
from flambeau.transport.messages import unpack_headers


def sequence_of(job: Job) -> str:
    return dict(unpack_headers(job.headers))["sequence"]


class Sequence:
    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.seat: Seat | None = None
        self.running: Job | None = None
        self.used = 0.0


class SequenceBatcher:
    """See ``flambeau.jobs.batching.Batcher``. ``idle`` seconds after its last job one is over."""

    def __init__(self, policy: BatchPolicy, most: int = 2, idle: float = 60.0) -> None:
        self.policy = policy
        self.capacity = 100
        self.sequences: dict[str, Sequence] = {}
        self._most = most
        self._idle = idle

    def __len__(self) -> int:
        return sum(len(one.jobs) for one in self.sequences.values())

    @property
    def pending(self) -> int:
        return sum(
            not (job.cancelled or job.answered)
            for one in self.sequences.values()
            for job in one.jobs
        )

    def put(self, job: Job) -> None:
        name = sequence_of(job)
        if name not in self.sequences:
            if len(self.sequences) >= self._most:
                raise Unavailable(f"{self._most} sequences are under way, as many as may be")
            self.sequences[name] = Sequence()
        self.sequences[name].used = job.arrived
        self.sequences[name].jobs.append(job)

    def give_back(self, jobs: list[Job]) -> None:
        for job in reversed(jobs):
            job.taken = 0.0
            self.sequences.setdefault(sequence_of(job), Sequence()).jobs.appendleft(job)

    def join(self, seat: Seat) -> None: ...

    def leave(self, seat: Seat) -> None:
        for name, one in list(self.sequences.items()):
            if one.seat is seat:
                del self.sequences[name]
                for job in one.jobs:
                    job.fail(Unavailable(f"Sequence {name} has lost its worker."))

    def take(self, seat: Seat, now: float) -> list[Job]:
        self._expire(now)
        batch: list[Job] = []
        for one in self.sequences.values():
            if len(batch) >= min(self.policy.size, seat.room):
                break
            if one.seat not in (None, seat) or not one.jobs:
                continue
            if one.running is not None and not (one.running.answered or one.running.cancelled):
                continue
            one.seat, one.used = seat, now
            one.running = one.jobs.popleft()
            one.running.taken = now
            batch.append(one.running)
        return batch

    def due(self, now: float) -> float | None:
        dues = [one.used + self._idle for one in self.sequences.values() if not one.jobs]
        return min((due for due in dues if due > now), default=None)

    def drain(self) -> list[Job]:
        jobs = [job for one in self.sequences.values() for job in one.jobs]
        self.sequences.clear()
        return jobs

    def _expire(self, now: float) -> None:
        for name, one in list(self.sequences.items()):
            busy = one.running is not None and not one.running.answered
            if not one.jobs and not busy and now >= one.used + self._idle:
                del self.sequences[name]
