"""The loop of a worker whose handler is an ``async def``: a task per batch, replies in any order.

One event loop runs the handler; a thread reads the socket for it, so that a Ping is answered by the
loop itself and proves that it turns. A client that goes cancels its task.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from flambeau.transport.frames import ProtocolError
from flambeau.transport.messages import Kind, Pong, Replies
from flambeau.worker.asynchronous import event_loop
from flambeau.worker.context import Batch
from flambeau.worker.link import LinkLost
from flambeau.worker.results import nothing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flambeau.transport.messages import JobHead, Message
    from flambeau.worker.link import Frame, ServerLink
    from flambeau.worker.service import Service

_PREDICT: Final = int(Kind.PREDICT)
_CANCEL: Final = int(Kind.CANCEL)
_STOP: Final = int(Kind.STOP)
_PING: Final = int(Kind.PING)

_current: ContextVar[Batch] = ContextVar("batch of the running task")


def serve(link: ServerLink, service: Service) -> None:
    """Answer batches as they come until the server says stop, or is gone.

    Raises LinkLost, ProtocolError, and SystemExit if the handler asked for it.
    """
    service.context.metrics.follow(_CurrentBatch())
    event_loop().run_until_complete(_Loop(link, service).run())


class SharedLink:
    """The link as the tasks see it: the reading thread tells it who has gone. See ``Link``."""

    def __init__(self, link: ServerLink) -> None:
        self.connection = link.connection
        self.gone: set[int] = set()
        self._link = link
        self._turn = threading.Lock()

    def send(self, message: Message, blobs: Sequence[bytes | bytearray] = ()) -> None:
        """Send one frame whole, also from a thread of the handler. Raises LinkLost."""
        with self._turn:
            self._link.send(message, blobs)

    def is_cancelled(self, job_id: int) -> bool:
        """See Link."""
        return self._link.ended or job_id in self.gone

    def poll(self) -> None:
        """See Link; there is nothing to do here."""


class _CurrentBatch(Batch):
    """The batch of whichever task asks: what a metric is recorded for."""

    __slots__ = ()

    def request_ids(self) -> dict[int, str] | None:
        batch = _current.get(None)
        return None if batch is None else batch.request_ids()


class _Loop:
    """Tasks in hand, by the jobs they answer."""

    def __init__(self, link: ServerLink, service: Service) -> None:
        self._link = link
        self._service = service
        self._shared = SharedLink(link)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._over: asyncio.Future[None] = event_loop().create_future()

    async def run(self) -> None:
        reader = threading.Thread(target=self._read, name="reader", daemon=True)
        reader.start()
        await self._over
        await asyncio.gather(*set(self._tasks.values()))

    def _read(self) -> None:
        """The reading thread: hands every frame to the loop, and last None."""
        call = event_loop().call_soon_threadsafe
        try:
            while (frame := self._link.receive()) is not None:
                call(self._take, frame)
                if frame[0] == _STOP:
                    return
            call(self._end, LinkLost("the server is gone"))
        except (ProtocolError, OSError) as error:
            call(self._end, error)

    def _take(self, frame: Frame) -> None:
        kind, message, bodies = frame
        if kind == _PREDICT:
            self._begin(message.jobs, bodies)
        elif kind == _CANCEL:
            for job_id in message.ids:
                self._cancel(job_id)
        elif kind == _PING:
            self._shared.send(Pong())
        elif kind == _STOP:
            self._end(None)
        else:
            self._end(ProtocolError(f"{Kind(kind).name} after the model was loaded"))

    def _end(self, error: BaseException | None) -> None:
        if self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def _begin(self, jobs: list[JobHead], bodies: list[bytearray]) -> None:
        task = event_loop().create_task(self._answer(jobs, bodies))
        for job in jobs:
            self._tasks[job.id] = task
        task.add_done_callback(lambda done: self._done(jobs, done))

    def _cancel(self, job_id: int) -> None:
        task = self._tasks.get(job_id)
        if task is None:
            return
        self._shared.gone.add(job_id)
        if all(each in self._shared.gone for each, of in self._tasks.items() if of is task):
            task.cancel()  # nobody waits for any answer of that batch

    async def _answer(self, jobs: list[JobHead], bodies: list[bytearray]) -> None:
        batch = Batch(self._shared)
        _current.set(batch)
        service = self._service.for_batch(batch, self._shared)
        try:
            going_on = await service.answer_later(jobs, bodies)
            while going_on:
                going_on = await service.answer_later(going_on, [], len(going_on))
        except asyncio.CancelledError:
            gone: list[Any] = [nothing(job) for job in jobs if job.id in self._shared.gone]
            self._shared.send(Replies(gone))
            raise

    def _done(self, jobs: list[JobHead], task: asyncio.Task[None]) -> None:
        for job in jobs:
            del self._tasks[job.id]
            self._shared.gone.discard(job.id)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)
