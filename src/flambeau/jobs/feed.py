"""What one ready worker holds: batches on their way, and how fast it has been.

A feed knows its channel and nothing of the queue. Its depth is how many batches it may hold:
one that runs, and behind it as many as the worker gets through within ``prefetch`` seconds, so
that a fast handler never waits for the socket and a slow one never holds jobs another worker
could have taken.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from flambeau.errors import (
    FlambeauError,
    HandlerFailed,
    InternalError,
    OutOfResources,
    PredictionFailed,
    WorkerDied,
)
from flambeau.jobs.job import Answer
from flambeau.jobs.pulse import Pulse
from flambeau.transport.frames import head
from flambeau.transport.messages import Cancel, JobHead, PartHead, Predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.jobs.job import Job
    from flambeau.supervision.channel import Channel
    from flambeau.transport.messages import Replies

UNKNOWN = -1.0
"""Mean handler time before the first reply: nothing is prefetched on a guess."""
SMOOTHING = 0.2
"""Weight of the newest handler time in the mean."""


@dataclass(frozen=True, slots=True)
class Prefetch:
    """How far ahead a worker is fed: ``seconds`` of work, at most ``most`` batches."""

    seconds: float = 0.005
    most: int = 16


class Batch:
    """Jobs sent together, by id, and when the worker could begin with them.

    ``heard`` is when the worker last gave a sign of them: a piece of a stream, or the beginning.
    """

    __slots__ = ("began", "failed", "heard", "jobs", "members")

    def __init__(self, jobs: list[Job]) -> None:
        self.members = jobs
        self.jobs = {job.id: job for job in jobs}
        """Those without a last answer."""
        self.began = self.heard = 0.0
        self.failed = False
        """At least one of its answers says that the handler failed."""

    def begin(self, now: float) -> None:
        """The worker can begin with it."""
        self.began = self.heard = now


class Feed:
    """One ready worker as dispatch sees it. Implements ``Flow`` for the jobs it carries."""

    def __init__(
        self,
        channel: Channel,
        prefetch: Prefetch,
        gone: Callable[[Job], None],
        worker_name: str = "",
    ) -> None:
        self.channel = channel
        self.worker_name = worker_name
        self.handler_us = 0
        self.batches: deque[Batch] = deque()
        self.pulse = Pulse(channel)
        self.depth = 1
        self.retired = False
        """Gets no more jobs; ends when it has answered what it holds."""
        self._prefetch = prefetch
        self._gone = gone
        self._mean = UNKNOWN
        self._out: list[bytes] = []
        self._paused = 0

    @property
    def room(self) -> bool:
        """May take another batch."""
        return len(self.batches) < self.depth and not self.retired and not self.channel.ended.done()

    @property
    def wants(self) -> bool:
        """Has nothing to do and may take a batch."""
        return not self.batches and self.room

    def add(self, jobs: list[Job], now: float) -> None:
        """Take ``jobs`` as one batch; ``flush`` sends it.

        Raises ProtocolError, and takes nothing, when they are too large for one frame.
        """
        heads = []
        size = 0
        chunks: list[bytes] = []
        for job in jobs:
            job.flow = self
            parts = []
            for part in job.parts:
                length = 0
                for chunk in part.chunks:
                    length += len(chunk)
                chunks += part.chunks
                size += length
                parts.append(PartHead(part.name, part.content_type, length))
            heads.append(JobHead(job.id, job.request_id, job.headers, parts))
        self._out.append(head(Predict(heads), size))
        self._out += chunks
        batch = Batch(jobs)
        if not self.batches:
            batch.begin(now)
        self.batches.append(batch)

    def flush(self) -> None:
        """Send all batches added since the last time as one write."""
        if self._out:
            self.channel.write(self._out)
            self._out = []

    def deliver(self, replies: Replies, blobs: list[bytes], now: float) -> Batch | None:
        """Answer the jobs these replies belong to; the batch comes back when it is finished."""
        if not self.batches:
            return None
        batch = self.batches[0]
        jobs = batch.jobs
        self.handler_us = replies.handler_us
        for reply, blob in zip(replies.replies, blobs, strict=True):
            job = jobs.get(reply.id) if reply.more else jobs.pop(reply.id, None)
            if reply.failed:
                batch.failed = True
                answer = Answer(reply.status, error=_failure(reply.status, blob))
            else:
                answer = Answer(reply.status, reply.phrase, reply.headers, blob, reply.more)
            if job is not None:
                job.answer(answer)
        self.handler_us = 0
        if not replies.done:
            batch.heard = now
            return None
        self.batches.popleft()
        for job in jobs.values():
            job.fail(InternalError("The worker gave no answer to this request."))
        if self.batches:
            self.batches[0].begin(now)
        self._learn(replies.handler_us / 1e6)
        return batch

    def lose(self, error: FlambeauError) -> list[Job]:
        """The worker is gone: its running batch fails, the jobs behind it come back unharmed.

        Replies come in order, so only the first unanswered batch may have been started.
        """
        if self.batches:
            for job in self.batches.popleft().jobs.values():
                job.fail(error)
        rest = [job for batch in self.batches for job in batch.jobs.values()]
        self.batches.clear()
        self._out = []
        return rest

    def left(self, limit: float, now: float) -> float:
        """Seconds the running batch still has of ``limit`` for its next sign of life.

        Time in which a slow client holds the worker back does not count against it.
        """
        if self._paused:
            self.batches[0].heard = now
        return self.batches[0].heard + limit - now

    def pause(self) -> None:
        """A client of a stream reads slowly: take no bytes from this worker."""
        self._paused += 1
        if self._paused == 1:
            self.channel.pause()

    def resume(self) -> None:
        """That client has read."""
        self._paused -= 1
        if self.batches:
            self.batches[0].heard = monotonic()
        if self._paused == 0:
            self.channel.resume()

    def cancel(self, job: Job) -> None:
        """Tell the worker that the client of ``job`` has gone."""
        self.channel.send(Cancel([job.id]))
        self._gone(job)

    def _learn(self, seconds: float) -> None:
        """Keep the mean handler time, and from it how far ahead this worker is fed."""
        if self._mean == UNKNOWN:
            self._mean = seconds
        else:
            self._mean += SMOOTHING * (seconds - self._mean)
        most = self._prefetch.most
        ahead = int(self._prefetch.seconds / self._mean) if self._mean > 0 else most
        self.depth = max(1, min(1 + ahead, most))


def _failure(status: int, blob: bytes) -> FlambeauError:
    """The error from the table for a failure a worker reports by number."""
    text = blob.decode("utf-8", "replace")
    if status == OutOfResources.status:
        return OutOfResources(text)
    if status == HandlerFailed.status:
        return HandlerFailed(text)
    if status == WorkerDied.status:
        return InternalError(text)
    return PredictionFailed(text, status)
