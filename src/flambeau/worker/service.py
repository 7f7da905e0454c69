"""One call of the handler: rows in, handler called, answers out.

``batches``, ``steps`` and ``concurrent`` call ``Service.answer`` (or ``answer_later``) for the jobs
in hand. Whatever a handler does short of ending the process becomes an answer for every job of the
call; its traceback goes to stderr with the request ids in front of each line. It never decides when
to run: that is the server's business.
"""

from __future__ import annotations

import copy
import inspect
import sys
import traceback
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from flambeau.errors import Failure
from flambeau.transport.frames import ProtocolError
from flambeau.transport.messages import Replies
from flambeau.worker import results
from flambeau.worker.context import attach
from flambeau.worker.failures import INVALID_OUTPUT, Fault, told_to_client
from flambeau.worker.link import LinkLost
from flambeau.worker.rows import decoded_rows, raw_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.transport.messages import JobHead, MetricPoint, ReplyHead
    from flambeau.worker.context import Batch, Context
    from flambeau.worker.link import Link

PREDICTION_METRIC: Final = "PredictionTime"
MISMATCHED: Final = "number of batch response mismatched"
_NOBODY: Final[list[Any]] = []


class Service:
    """A loaded model: its entry point, its context, and the way its answers take."""

    def __init__(
        self,
        entry: Callable[[list[Any], Context], Any],
        context: Context,
        batch: Batch,
        link: Link,
        *,
        decode: bool = True,
        max_response_size: int,
    ) -> None:
        self._entry = entry
        self._context = context
        self._batch = batch
        self._link = link
        self._rows = decoded_rows if decode else raw_rows
        self._limit = max_response_size
        self._drain: Callable[[], list[MetricPoint]] = context.metrics.drain

    @property
    def asynchronous(self) -> bool:
        """The handler is an ``async def``."""
        return inspect.iscoroutinefunction(self._entry)

    @property
    def context(self) -> Context:
        """What the handler gets beside its data."""
        return self._context

    def for_batch(self, batch: Batch, link: Link) -> Service:
        """The same model for ``batch`` alone, whose answers go to ``link``.

        Calls that run at the same time must not see each other's requests.
        """
        context = copy.copy(self._context)
        attach(context, batch)
        return Service(
            self._entry,
            context,
            batch,
            link,
            decode=self._rows is decoded_rows,
            max_response_size=self._limit,
        )

    def answer(self, jobs: list[JobHead], bodies: list[bytearray], known: int = 0) -> list[JobHead]:
        """Run the handler on ``jobs`` and send their answers; those that go on come back.

        The first ``known`` jobs were in an earlier call: the handler gets ``{}`` for them, and
        ``bodies`` holds nothing of theirs. Raises LinkLost when the server is gone; SystemExit
        passes, since the handler asked for it.
        """
        self._batch.begin(jobs)
        started = perf_counter_ns()
        try:
            returned = self._entry(self._rows_of(jobs, bodies, known), self._context)
            if type(returned) is not list:
                returned = self._awaited(returned)
        except LinkLost:
            raise
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; the worker lives on
            return self._raised(jobs, error, started)
        return self._send(jobs, returned, started)

    async def answer_later(
        self, jobs: list[JobHead], bodies: list[bytearray], known: int = 0
    ) -> list[JobHead]:
        """As ``answer``, for an ``async def`` handler, on the running event loop."""
        self._batch.begin(jobs)
        started = perf_counter_ns()
        try:
            returned = await self._entry(self._rows_of(jobs, bodies, known), self._context)
        except LinkLost:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            return self._raised(jobs, error, started)
        return self._send(jobs, returned, started)

    def _rows_of(self, jobs: list[JobHead], bodies: list[bytearray], known: int) -> list[Any]:
        if not known:
            return self._rows(jobs, bodies)
        return [*({} for _ in range(known)), *self._rows(jobs[known:], bodies)]

    def _send(self, jobs: list[JobHead], returned: Any, started: int) -> list[JobHead]:
        handler_us = (perf_counter_ns() - started) // 1000
        try:
            heads, blobs, shaped = self._spell(jobs, returned)
        except Exception as error:  # noqa: BLE001 - a stopping criterion is the handler's too
            return self._raised(jobs, error, started)
        try:
            self._link.send(Replies(heads, handler_us, self._drain(), timed=True), blobs)
        except ProtocolError as error:
            fault = Fault(Failure.INTERNAL, f"the answers of the batch are too large: {error}")
            return self._fail(jobs, fault, 0)
        if not shaped:
            return _NOBODY
        return [job for job, head in zip(jobs, heads, strict=True) if head.more]

    def _awaited(self, returned: Any) -> Any:
        """What an asynchronous handler comes to; anything else as it is."""
        if not hasattr(returned, "__await__"):
            return returned
        from flambeau.worker.asynchronous import await_answer  # noqa: PLC0415 - only such handlers pay for asyncio

        return await_answer(returned)

    def _spell(
        self, jobs: list[JobHead], returned: Any
    ) -> tuple[list[ReplyHead], list[bytes | bytearray], bool]:
        """Heads and bodies of the answers, and whether the handler shaped their heads."""
        if not isinstance(returned, list):
            return self._unusable(jobs, INVALID_OUTPUT, f"got {type(returned).__name__}")
        if len(returned) != len(jobs):
            return self._unusable(jobs, MISMATCHED, f"{len(returned)} for {len(jobs)} requests")
        try:
            heads, blobs, longest = results.plain_answers(jobs, returned)
        except results.UnsupportedOutput as error:
            return self._unusable(jobs, results.UNSUPPORTED, str(error))
        shaped = self._batch.processors is not None or bool(self._context.stopping_criteria)
        if shaped:
            mores = self._unfinished(returned)
            processors = self._batch.request_processors() or []
            heads = results.shaped_heads(jobs, blobs, processors, mores)
        if longest > self._limit:
            results.limit_sizes(jobs, heads, blobs, self._limit)
        return heads, blobs, shaped

    def _unusable(
        self, jobs: list[JobHead], text: str, detail: str
    ) -> tuple[list[ReplyHead], list[bytes | bytearray], bool]:
        self._log(jobs, f"{text}: {detail}")
        pairs = [results.failed(job, Fault(Failure.HANDLER, text)) for job in jobs]
        return [head for head, _ in pairs], [body for _, body in pairs], False

    def _unfinished(self, returned: list[Any]) -> list[bool] | None:
        """Per job, whether its stopping criterion wants another step; None without criteria."""
        criteria = self._context.stopping_criteria
        if not criteria:
            return None
        mores = []
        for index, value in enumerate(returned):
            criterion = criteria[index]
            verdict = None if criterion is None else criterion(value)
            if verdict is not None:
                stream_next = "false" if verdict else "true"
                self._context.set_response_header(index, "ts_stream_next", stream_next)
            mores.append(verdict is not None and not verdict)
        return mores

    def _raised(self, jobs: list[JobHead], error: Exception, started: int) -> list[JobHead]:
        self._log(jobs, "".join(traceback.format_exception(error)))
        return self._fail(jobs, told_to_client(error), (perf_counter_ns() - started) // 1000)

    def _fail(self, jobs: list[JobHead], fault: Fault, handler_us: int) -> list[JobHead]:
        pairs = [results.failed(job, fault) for job in jobs]
        replies = Replies([head for head, _ in pairs], handler_us, self._drain())
        self._link.send(replies, [body for _, body in pairs])
        return _NOBODY

    @staticmethod
    def _log(jobs: list[JobHead], text: str) -> None:
        # Each line carries the ids, so that a search for a request id finds the whole traceback.
        ids = ",".join([job.request_id for job in jobs])
        sys.stderr.write("".join([f"[{ids}] {line}\n" for line in text.splitlines()]))
        sys.stderr.flush()
