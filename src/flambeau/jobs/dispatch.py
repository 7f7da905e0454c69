"""Feeding the workers of one model version from its queue.

Faces put jobs in with ``submit``; each ready worker has one running ``serve``. In between,
``_pump`` hands out batches once per round of the event loop, so that requests which arrive
together leave together: idle workers first, the one that has been idle longest before the
others, then busy ones that are fast enough to be fed ahead. No collecting for one worker ever
holds back another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from flambeau.errors import (
    DeadlineExceeded,
    FlambeauError,
    QueueFull,
    RequestTooLarge,
    WorkerDied,
    WorkerTimedOut,
)
from flambeau.jobs.feed import Feed, Prefetch
from flambeau.jobs.pulse import BEAT
from flambeau.transport.frames import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from flambeau.jobs.batching import Batcher
    from flambeau.jobs.feed import Batch
    from flambeau.jobs.job import Job
    from flambeau.jobs.queue import JobQueue
    from flambeau.metrics.model import ModelMetrics
    from flambeau.supervision.channel import Channel
    from flambeau.transport.messages import Replies


class ReadyWorker(Protocol):
    """A loaded worker as dispatch needs it. Implemented by ``supervision.process``."""

    channel: Channel
    name: str

    def died_of_kill(self) -> Awaitable[bool]:
        """Whether the process was ended by SIGKILL, as the system does when memory is short."""


class Dispatcher:
    """The queue of one version and the workers that empty it. Implements ``Flow`` for the waiting.

    ``response_timeout`` and ``client_timeout`` are in seconds; ``client_timeout`` 0 means that
    clients wait as long as it takes.
    """

    def __init__(
        self,
        queue: JobQueue,
        batcher: Batcher,
        metrics: ModelMetrics,
        *,
        response_timeout: float,
        client_timeout: float = 0.0,
        prefetch: Prefetch | None = None,
    ) -> None:
        self.queue = queue
        self.batcher = batcher
        self.response_timeout = response_timeout
        self.client_timeout = client_timeout
        self.worker_name = ""
        """See Flow; a waiting job is with no worker."""
        self.handler_us = 0
        self._metrics = metrics
        self._prefetch = prefetch or Prefetch()
        self._loop = asyncio.get_running_loop()
        self._feeds: deque[Feed] = deque()
        self._deadlines: deque[Job] = deque()
        self._pumping = False
        self._waking: asyncio.TimerHandle | None = None
        self._expiring: asyncio.TimerHandle | None = None
        self._beating = False
        self._running: asyncio.Event = asyncio.Event()
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
            not (job.answered or job.cancelled)
            for feed in self._feeds
            for batch in feed.batches
            for job in batch.jobs.values()
        )

    def submit(self, job: Job) -> None:
        """Queue ``job``; its answer comes through ``job.on_answer``.

        Raises QueueFull when the queue holds as many as it may.
        """
        if not self.queue.put(job):
            raise QueueFull
        job.flow = self
        if self.client_timeout:
            self._watch_deadline(job)
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def wake(self) -> None:
        """Look at the queue again (the policy has changed, or jobs came back)."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def fail_all(self, error: FlambeauError) -> None:
        """Answer every waiting job with ``error``."""
        for job in self.queue.drain():
            job.fail(error)
        self._emptied.set()

    async def idle(self) -> None:
        """Returns when no job waits or is with a worker; those whose clients have gone count not."""
        while self.queue.pending or self.in_flight:
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

    async def serve(self, worker: ReadyWorker, retire: asyncio.Future[None]) -> None:
        """Feed ``worker`` until ``retire`` is done and it has answered all it holds.

        Raises WorkerDied when the worker ends, WorkerTimedOut when it takes too long; in both
        cases its running batch has been answered and the rest is back in the queue.
        """
        feed = Feed(worker.channel, self._prefetch, self.cancel, worker.name)
        finished: asyncio.Future[None] = self._loop.create_future()

        def deliver(replies: Replies, blobs: list[bytes]) -> None:
            self._deliver(feed, replies, blobs)
            if feed.retired and not feed.batches and not finished.done():
                finished.set_result(None)

        worker.channel.on_replies = deliver
        self._feeds.append(feed)
        if not self._beating:
            self._beating = True
            self._loop.call_later(BEAT, self._beat)
        self.wake()
        watch = asyncio.ensure_future(self._overdue(feed))
        waits = {watch, worker.channel.ended, finished, retire}
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
                if watch in done:
                    self._lose(feed, WorkerDied())
                    raise WorkerTimedOut(f"no answer within {self.response_timeout:g} s")
                feed.retired = True
                waits.discard(retire)
                if not feed.batches:
                    return
        finally:
            watch.cancel()
            self._lose(feed, WorkerDied())
            self._feeds.remove(feed)
            worker.channel.on_replies = None

    # -- handing out

    def _pump(self) -> None:
        self._pumping = False
        queue = self.queue
        if not len(queue):
            return
        now = monotonic()
        take = self.batcher.take
        for idle in (True, False):
            for feed in list(self._feeds):
                while len(queue) and feed.room and (idle is not bool(feed.batches)):
                    jobs = take(queue, now, idle=idle)
                    if not jobs or not self._give(feed, jobs, now):
                        break
                    if idle:
                        self._feeds.remove(feed)
                        self._feeds.append(feed)
        for feed in self._feeds:
            feed.flush()
        if not len(queue):
            self._emptied.set()
        self._arm(now)

    def _give(self, feed: Feed, jobs: list[Job], now: float) -> bool:
        try:
            feed.add(jobs, now)
        except ProtocolError as error:
            for job in jobs:
                job.fail(RequestTooLarge(f"The worker cannot be sent this: {error}"))
            self.wake()
            return False
        self._running.set()
        return True

    def _arm(self, now: float) -> None:
        """Come back when a waiting batch is due for an idle worker."""
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        if not len(self.queue) or not any(feed.wants for feed in self._feeds):
            return
        wait = self.batcher.wait(self.queue, now)
        if wait is not None:
            self._waking = self._loop.call_later(wait, self.wake)

    # -- coming back

    def _deliver(self, feed: Feed, replies: Replies, blobs: list[bytes]) -> None:
        now = monotonic()
        done = feed.deliver(replies, blobs, now)
        if replies.metrics:
            self._metrics.points(replies.metrics)
        if done is not None:
            self._measure(done, replies, now)
            if not len(self.queue):
                self._emptied.set()
            elif not self._pumping:
                self._pumping = True
                self._loop.call_soon(self._pump)

    def _measure(self, batch: Batch, replies: Replies, now: float) -> None:
        metrics, jobs = self._metrics, batch.members
        arrived = [job.arrived for job in jobs]
        if not batch.failed:
            for job, came in zip(jobs, arrived, strict=True):
                metrics.answered(job.version_given, now - came, job.taken - came)
        handler = replies.handler_us / 1e6
        ids = ",".join([job.request_id for job in jobs]) if replies.timed else ""
        round_s = max(0.0, now - batch.began - handler)
        metrics.batch(len(jobs), jobs[0].taken - min(arrived), handler, round_s, ids)

    def _lose(self, feed: Feed, error: FlambeauError) -> None:
        rest = feed.lose(error)
        if rest:
            for job in rest:
                job.flow = self
            self.queue.put_back(rest)
            self.wake()
        self._emptied.set()

    # -- limits

    def _beat(self) -> None:
        for feed in self._feeds:
            if not feed.retired:
                feed.pulse.beat(busy=bool(feed.batches))
        self._beating = bool(self._feeds)
        if self._beating:
            self._loop.call_later(BEAT, self._beat)

    async def _overdue(self, feed: Feed) -> None:
        """Returns when the running batch of ``feed`` has outlived the response time-out."""
        while True:
            while not feed.batches:
                self._running.clear()
                await self._running.wait()
            left = feed.left(self.response_timeout, monotonic())
            if left < 0:
                return
            await asyncio.sleep(max(0.01, left))

    def _watch_deadline(self, job: Job) -> None:
        job.deadline = job.arrived + self.client_timeout
        deadlines = self._deadlines
        while deadlines and (deadlines[0].answered or deadlines[0].cancelled):
            deadlines.popleft()
        deadlines.append(job)
        if self._expiring is None:
            self._expiring = self._loop.call_at(
                self._loop.time() + self.client_timeout, self._expire
            )

    def _expire(self) -> None:
        """Answer the jobs whose clients have waited long enough; the rest is watched on."""
        now = monotonic()
        deadlines = self._deadlines
        while deadlines and (
            deadlines[0].answered or deadlines[0].cancelled or deadlines[0].deadline <= now
        ):
            job = deadlines.popleft()
            job.fail(
                DeadlineExceeded(
                    f"No answer within the {self.client_timeout * 1000:.0f} ms "
                    "(clientTimeoutInMills) this model gives its clients."
                )
            )
        self._emptied.set()
        self._expiring = None
        if deadlines:
            self._expiring = self._loop.call_later(deadlines[0].deadline - now, self._expire)
