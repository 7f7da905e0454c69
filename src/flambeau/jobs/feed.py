"""What one ready worker holds: jobs on their way, and how many more it may get.

A feed knows its channel and nothing of what waits. It keeps its jobs in flight by id; which of
them may have started, and how many more fit, is told by its kind of window:

- ``BatchFeed``: one batch runs, full ones stand behind it. Its depth is how many batches it may
  hold: as many as the worker gets through within ``prefetch`` seconds, so that a fast handler never
  waits for the socket and a slow one never holds jobs another worker could have taken.
- ``OpenFeed`` (``jobs.open_feed``): jobs that the worker has in hand at the same time.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from flambeau.errors import FlambeauError, InternalError, failure_of
from flambeau.jobs.job import Answer
from flambeau.jobs.pulse import Pulse
from flambeau.transport.frames import head
from flambeau.transport.messages import Cancel, JobHead, PartHead, Predict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flambeau.jobs.job import Job
    from flambeau.supervision.channel import Channel
    from flambeau.transport.messages import Replies

UNKNOWN = -1.0
"""Mean handler time before the first reply: nothing is prefetched on a guess."""
SMOOTHING = 0.2
"""Weight of the newest handler time in the mean."""
ANY_NUMBER = 1 << 30
"""Room for one more batch, whatever its size."""


@dataclass(frozen=True, slots=True)
class Prefetch:
    """How far ahead a worker is fed: ``seconds`` of work, at most ``most`` batches."""

    seconds: float = 0.005
    most: int = 16


class SentBatch:
    """Jobs that one call of the handler was about, and when the worker could begin with them.

    ``heard`` is when the worker last gave a sign of them: a piece of a stream, or the beginning.
    """

    __slots__ = ("began", "failed", "handler_us", "heard", "jobs", "members")

    def __init__(self, members: list[Job], began: float = 0.0) -> None:
        self.members = members
        self.jobs = {job.id: job for job in members}
        """Those without a last answer."""
        self.began = self.heard = began
        self.handler_us = 0
        """Microseconds the handler has taken for it."""
        self.failed = False
        """At least one of its answers says that the handler failed."""


class Feed(ABC):
    """One ready worker as dispatch sees it. Implements ``Flow`` and, for batchers, ``Seat``."""

    eager = False
    """See Seat."""
    deaf_at_work = True
    """The worker reads nothing while its handler runs, and cannot answer a Ping then."""

    def __init__(self, channel: Channel, worker: str, gone: Callable[[Job], None]) -> None:
        self.channel = channel
        self.worker = worker
        self.pulse = Pulse(channel)
        self.retired = False
        """Gets no more jobs; ends when it has answered what it holds."""
        loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = loop.create_future()
        """Completed by dispatch when it is retired and has answered all it held."""
        self.late: asyncio.Future[None] = loop.create_future()
        """Completed by dispatch when what its worker runs has outlived the response time-out."""
        self._gone = gone
        self._out: list[bytes] = []
        self._paused = 0

    # -- what its kind of window decides

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Holds nothing."""

    @property
    @abstractmethod
    def room(self) -> int:
        """How many more jobs it may be sent now."""

    @abstractmethod
    def held(self) -> Iterable[Job]:
        """The jobs it holds that have no last answer."""

    @abstractmethod
    def deliver(self, replies: Replies, blobs: list[bytes], now: float) -> SentBatch | None:
        """Answer the jobs these replies belong to; what is finished by them comes back."""

    @abstractmethod
    def lose(self, error: FlambeauError) -> list[Job]:
        """The worker is gone: jobs that may have started fail, the others come back unharmed."""

    @abstractmethod
    def overdue(self, limit: float, now: float) -> bool:
        """Whether something it runs gave no sign of life for more than ``limit`` seconds.

        Time in which a slow client holds the worker back does not count against it.
        """

    @abstractmethod
    def _hold(self, jobs: list[Job], now: float) -> None:
        """Count ``jobs`` as sent."""

    @abstractmethod
    def _heard(self, now: float) -> None:
        """The worker was held back until ``now``."""

    # -- what all kinds share

    def add(self, jobs: list[Job], now: float) -> None:
        """Take ``jobs`` as one batch; ``flush`` sends it.

        Raises ProtocolError, and takes nothing, when they are too large for one frame.
        """
        heads = []
        size = 0
        chunks: list[bytes] = []
        for job in jobs:
            parts = []
            for name, content_type, pieces in job.parts:
                length = 0
                for piece in pieces:
                    length += len(piece)
                chunks += pieces
                size += length
                parts.append(PartHead(name, content_type, length))
            heads.append(JobHead(job.id, job.request_id, job.headers, parts))
            job.flow = self
        self._out.append(head(Predict(heads), size))
        self._out += chunks
        self._hold(jobs, now)

    def flush(self) -> None:
        """Send all batches added since the last time as one write."""
        if self._out:
            self.channel.write(self._out)
            self._out = []

    def pause(self) -> None:
        """A client of a stream reads slowly: take no bytes from this worker."""
        self._paused += 1
        if self._paused == 1:
            self.channel.pause()

    def resume(self) -> None:
        """That client has read."""
        self._paused -= 1
        self._heard(monotonic())
        if self._paused == 0:
            self.channel.resume()

    def cancel(self, job: Job) -> None:
        """Tell the worker that the client of ``job`` has gone."""
        self.channel.send(Cancel([job.id]))
        self._gone(job)

    def _answer(self, waiting: dict[int, Job], replies: Replies, blobs: list[bytes]) -> bool:
        """Hand the replies to the jobs in ``waiting``, less those done; whether any failed."""
        worker, handler_us = self.worker, replies.handler_us
        failed = False
        for reply, blob in zip(replies.replies, blobs, strict=True):
            more = reply.more
            job = waiting.get(reply.id) if more else waiting.pop(reply.id, None)
            if reply.failure:
                failed = True
                error = failure_of(reply.failure, reply.status, blob.decode("utf-8", "replace"))
                answer = Answer(error.status, error=error, worker=worker, handler_us=handler_us)
            else:
                answer = Answer(
                    reply.status,
                    reply.phrase,
                    reply.headers,
                    blob,
                    more,
                    None,
                    worker,
                    handler_us,
                )
            if job is not None:
                job.answer(answer)
        return failed


class BatchFeed(Feed):
    """Batches in a row. The worker answers them in order, so only the first may have started."""

    def __init__(
        self,
        channel: Channel,
        worker: str,
        gone: Callable[[Job], None],
        prefetch: Prefetch | None = None,
    ) -> None:
        super().__init__(channel, worker, gone)
        self.batches: deque[SentBatch] = deque()
        self.depth = 1
        self._prefetch = prefetch or Prefetch()
        self._mean = UNKNOWN

    @property
    def idle(self) -> bool:
        """See Feed."""
        return not self.batches

    @property
    def room(self) -> int:
        """See Feed."""
        if len(self.batches) >= self.depth or self.retired or self.channel.ended.done():
            return 0
        return ANY_NUMBER

    def held(self) -> Iterable[Job]:
        """See Feed."""
        return [job for batch in self.batches for job in batch.jobs.values()]

    def deliver(self, replies: Replies, blobs: list[bytes], now: float) -> SentBatch | None:
        """See Feed. A reply to a later batch says that the worker is done with those before it."""
        batches = self.batches
        if not batches:
            return None
        batch = batches[0]
        if replies.replies and replies.replies[0].id not in batch.jobs:
            batch = self._skipped(replies.replies[0].id, now)
        if self._answer(batch.jobs, replies, blobs):
            batch.failed = True
        batch.handler_us += replies.handler_us
        if batch.jobs:
            batch.heard = now
            return None
        batches.popleft()
        if batches:
            batches[0].began = batches[0].heard = now
        self._learn(batch.handler_us / 1e6)
        return batch

    def lose(self, error: FlambeauError) -> list[Job]:
        """See Feed."""
        if self.batches:
            for job in self.batches.popleft().jobs.values():
                job.fail(error)
        rest = list(self.held())
        self.batches.clear()
        self._out = []
        return rest

    def overdue(self, limit: float, now: float) -> bool:
        """See Feed."""
        if not self.batches:
            return False
        running = self.batches[0]
        if self._paused:
            running.heard = now
        return running.heard + limit < now

    def _hold(self, jobs: list[Job], now: float) -> None:
        # Behind another batch it begins when that one is answered.
        self.batches.append(SentBatch(jobs, 0.0 if self.batches else now))

    def _heard(self, now: float) -> None:
        if self.batches:
            self.batches[0].heard = now

    def _skipped(self, answered: int, now: float) -> SentBatch:
        """The batch of the job ``answered``; what stood before it will get no answer any more."""
        batches = self.batches
        if any(answered in batch.jobs for batch in batches):
            while answered not in batches[0].jobs:
                for job in batches.popleft().jobs.values():
                    job.fail(InternalError("The worker gave no answer to this request."))
            batches[0].began = batches[0].heard = now
        return batches[0]

    def _learn(self, seconds: float) -> None:
        """Keep the mean handler time, and from it how far ahead this worker is fed."""
        if self._mean == UNKNOWN:
            self._mean = seconds
        else:
            self._mean += SMOOTHING * (seconds - self._mean)
        most = self._prefetch.most
        ahead = int(self._prefetch.seconds / self._mean) if self._mean > 0 else most
        self.depth = max(1, min(1 + ahead, most))
