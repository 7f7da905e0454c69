"""Feeding the workers of one model version with what waits for it.

Faces put jobs in with ``submit``; each ready worker has one running ``serve``. What waits, and who
gets it, is the business of a ``Batcher``; what a worker holds, that of its ``Feed``. In between,
``_pump`` hands out batches once per round of the event loop, so that requests which arrive
together leave together: idle workers first, the one that has been idle longest before the
others, then busy ones that have room. No collecting for one worker ever holds back another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from flambeau.errors import DeadlineExceeded, RequestTooLarge, WorkerDied, WorkerTimedOut
from flambeau.jobs.deadlines import Deadlines
from flambeau.jobs.pulse import BEAT
from flambeau.transport.frames import ProtocolError

if TYPE_CHECKING:
    from flambeau.errors import FlambeauError, Unavailable
    from flambeau.jobs.batching import Batcher
    from flambeau.jobs.feed import Feed, SentBatch
    from flambeau.jobs.job import Job
    from flambeau.jobs.modes import FeedMaker
    from flambeau.metrics.model import ModelMetrics
    from flambeau.supervision.launcher import Worker
    from flambeau.transport.messages import Replies


class Dispatcher:
    """The workers of one version and what waits for them. Implements ``Flow`` for the waiting.

    ``response_timeout`` and ``client_timeout`` are in seconds; ``client_timeout`` 0 means that
    clients wait as long as it takes.
    """

    def __init__(
        self,
        batcher: Batcher,
        feeds: FeedMaker,
        metrics: ModelMetrics,
        *,
        response_timeout: float,
        client_timeout: float = 0.0,
    ) -> None:
        self.batcher = batcher
        self.response_timeout = response_timeout
        self.client_timeout = client_timeout
        self._make_feed = feeds
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._feeds: deque[Feed] = deque()
        self._deadlines = Deadlines(client_timeout, self._too_late) if client_timeout else None
        self._pumping = False
        self._waking: asyncio.TimerHandle | None = None
        self._beating = False
        self._emptied: asyncio.Event = asyncio.Event()

    @property
    def ready(self) -> int:
        """Workers being fed."""
        return len(self._feeds)

    @property
    def answering(self) -> int:
        """Workers being fed that have lately given a sign of life, or are computing."""
        return sum(feed.pulse.answering and not feed.retired for feed in self._feeds)

    @property
    def in_flight(self) -> int:
        """Jobs that are with a worker and want an answer."""
        return sum(
            not (job.answered or job.cancelled) for feed in self._feeds for job in feed.held()
        )

    def submit(self, job: Job) -> None:
        """Queue ``job``; its answer comes through ``job.on_answer``.

        Raises the Unavailable error that says why it cannot wait.
        """
        self.batcher.put(job)
        job.flow = self
        if self._deadlines is not None:
            self._deadlines.watch(job)
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def wake(self) -> None:
        """Look at what waits again (the policy has changed, or jobs came back)."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def fail_all(self, error: Unavailable) -> None:
        """Answer every waiting job with ``error``."""
        self._refuse(self.batcher.drain(), error)
        self._emptied.set()

    async def idle(self) -> None:
        """Returns when no job waits or is with a worker; those whose clients have gone count not."""
        while self.batcher.pending or self.in_flight:
            self._emptied.clear()
            await self._emptied.wait()

    def pause(self) -> None:
        """See Flow; a waiting job has no pieces."""

    def resume(self) -> None:
        """See Flow."""

    def cancel(self, job: Job) -> None:  # noqa: ARG002 - Flow's signature
        """The client of a job, waiting or running, has gone."""
        self._metrics.cancelled()
        self._emptied.set()

    async def serve(self, worker: Worker, retire: asyncio.Future[None]) -> None:
        """Feed ``worker`` until ``retire`` is done and it has answered all it holds.

        Raises WorkerDied when the worker ends, WorkerTimedOut when it takes too long; in both
        cases what it may have started has been answered and the rest waits again.
        """
        feed = self._make_feed(worker.channel, worker.name, self.cancel)
        worker.channel.on_replies = partial(self._deliver, feed)
        self._join(feed)
        late, finished = feed.late, feed.finished
        waits = {late, worker.channel.ended, finished, retire}
        try:
            while True:
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if finished in done:
                    return
                if worker.channel.ended in done:
                    feed.retired = True  # before the wait: it must get no more
                    error = WorkerDied(killed=await worker.died_of_kill())
                    self._lose(feed, error)
                    raise error
                if late in done:
                    self._lose(feed, WorkerDied())
                    raise WorkerTimedOut(f"no answer within {self.response_timeout:g} s")
                feed.retired = True
                waits.discard(retire)
                if feed.idle:
                    return
        finally:
            self._leave(feed)
            worker.channel.on_replies = None

    def _join(self, feed: Feed) -> None:
        self._feeds.append(feed)
        self.batcher.join(feed)
        if not self._beating:
            self._beating = True
            self._loop.call_later(BEAT, self._beat)
        self.wake()

    def _leave(self, feed: Feed) -> None:
        self._lose(feed, WorkerDied())
        self._feeds.remove(feed)
        feed.late.cancel()
        feed.finished.cancel()
        self.batcher.leave(feed)
        self.wake()

    # -- handing out

    def _pump(self) -> None:
        self._pumping = False
        batcher = self.batcher
        if not len(batcher):
            return
        now = monotonic()
        self._hand_out(now, idle=True)
        while len(batcher) and self._hand_out(now, idle=False):
            pass
        for feed in self._feeds:
            feed.flush()
        if not len(batcher):
            self._emptied.set()
        self._arm(now)

    def _hand_out(self, now: float, *, idle: bool) -> bool:
        """Give each worker that is ``idle``, or busy with room, one batch; whether any got one."""
        batcher, given = self.batcher, False
        for feed in tuple(self._feeds):
            if feed.idle is not idle or not feed.room:
                continue
            jobs = batcher.take(feed, now)
            if jobs and self._give(feed, jobs, now):
                given = True
                if idle and len(self._feeds) > 1:  # it goes to the end of the line
                    self._feeds.remove(feed)
                    self._feeds.append(feed)
        return given

    def _give(self, feed: Feed, jobs: list[Job], now: float) -> bool:
        try:
            feed.add(jobs, now)
        except ProtocolError as error:
            for job in jobs:
                job.fail(RequestTooLarge(f"The worker cannot be sent this: {error}"))
            self.wake()
            return False
        return True

    def _arm(self, now: float) -> None:
        """Come back when the batcher may answer differently."""
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        due = self.batcher.due(now)
        if due is not None:
            self._waking = self._loop.call_later(due - now, self.wake)

    # -- coming back

    def _deliver(self, feed: Feed, replies: Replies, blobs: list[bytes]) -> None:
        now = monotonic()
        done = feed.deliver(replies, blobs, now)
        if replies.metrics:
            self._metrics.points(replies.metrics)
        if done is not None:
            self._measure(done, replies, now)
            if not len(self.batcher):
                self._emptied.set()
            elif not self._pumping:
                self._pumping = True
                self._loop.call_soon(self._pump)
        if feed.retired and feed.idle and not feed.finished.done():
            feed.finished.set_result(None)

    def _measure(self, batch: SentBatch, replies: Replies, now: float) -> None:
        metrics, jobs = self._metrics, batch.members
        taken = oldest = jobs[0].taken
        for job in jobs:
            came = job.arrived
            oldest = min(oldest, came)
            if not batch.failed:
                metrics.answered(job.version_given, now - came, job.taken - came)
        handler = batch.handler_us / 1e6
        ids = ",".join([job.request_id for job in jobs]) if replies.timed else ""
        round_s = max(0.0, now - batch.began - handler)
        metrics.batch(len(jobs), taken - oldest, handler, round_s, ids)

    def _lose(self, feed: Feed, error: FlambeauError) -> None:
        rest = feed.lose(error)
        if rest:
            for job in rest:
                job.flow = self
            self.batcher.give_back(rest)
            self.wake()
        self._emptied.set()

    # -- limits

    def _beat(self) -> None:
        """Look for life in all workers, and for what has taken too long."""
        now, limit = monotonic(), self.response_timeout
        for feed in self._feeds:
            if not feed.retired:
                feed.pulse.beat(busy=feed.deaf_at_work and not feed.idle)
            if feed.overdue(limit, now) and not feed.late.done():
                feed.late.set_result(None)
        self._beating = bool(self._feeds)
        if self._beating:
            self._loop.call_later(BEAT, self._beat)

    def _too_late(self, jobs: list[Job]) -> None:
        error = DeadlineExceeded(
            f"No answer within the {self.client_timeout * 1000:.0f} ms "
            "(clientTimeoutInMills) this model gives its clients."
        )
        self._refuse(jobs, error)
        self._emptied.set()

    def _refuse(self, jobs: list[Job], error: Unavailable) -> None:
        for job in jobs:
            if not (job.answered or job.cancelled):
                self._metrics.rejected(error.reason)
                job.fail(error)
