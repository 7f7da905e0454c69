"""One batch through the handler: rows in, handler called, answers out.

``loop`` calls ``Service.answer`` for each Predict. Whatever a handler does short of ending the
process becomes an answer for every job of the batch; its traceback goes to stderr with the
request ids in front of each line. It never decides when to run: that is the server's business.
"""

from __future__ import annotations

import sys
import traceback
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from flambeau.transport.frames import ProtocolError
from flambeau.transport.messages import Replies
from flambeau.worker import results
from flambeau.worker.failures import (
    INTERNAL,
    INVALID_OUTPUT,
    PREDICTION_FAILED,
    told_to_client,
)
from flambeau.worker.link import LinkLost
from flambeau.worker.rows import decoded_rows, raw_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.transport.messages import JobHead, MetricPoint, ReplyHead
    from flambeau.worker.context import Batch, Context
    from flambeau.worker.link import ServerLink

PREDICTION_METRIC: Final = "PredictionTime"
MISMATCHED: Final = "number of batch response mismatched"


class Service:
    """A loaded model: its entry point, its context, and the way its answers take."""

    def __init__(
        self,
        entry: Callable[[list[Any], Context], Any],
        context: Context,
        batch: Batch,
        link: ServerLink,
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

    def answer(self, jobs: list[JobHead], bodies: list[bytearray]) -> None:
        """Run the handler on one batch and send its answers.

        Raises LinkLost when the server is gone; SystemExit passes, since the handler asked for it.
        """
        self._batch.begin(jobs)
        started = perf_counter_ns()
        try:
            returned = self._entry(self._rows(jobs, bodies), self._context)
            if type(returned) is not list:
                returned = self._settled(returned)
            handler_us = (perf_counter_ns() - started) // 1000
            heads, blobs = self._spell(jobs, returned)
        except LinkLost:
            raise
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; the worker lives on
            self._report(jobs, error)
            status, text = told_to_client(error)
            self._fail(jobs, status, text, (perf_counter_ns() - started) // 1000)
            return
        try:
            self._link.send(Replies(heads, handler_us, self._drain(), timed=True), blobs)
        except ProtocolError as error:
            self._fail(jobs, INTERNAL, f"the answers of the batch are too large: {error}", 0)

    def _settled(self, returned: Any) -> Any:
        """What an asynchronous handler comes to; anything else as it is."""
        if not hasattr(returned, "__await__"):
            return returned
        from flambeau.worker.asynchronous import settle  # noqa: PLC0415 - only such handlers pay for asyncio

        return settle(returned)

    def _spell(
        self, jobs: list[JobHead], returned: Any
    ) -> tuple[list[ReplyHead], list[bytes | bytearray]]:
        if not isinstance(returned, list):
            return self._unusable(jobs, INVALID_OUTPUT, f"got {type(returned).__name__}")
        if len(returned) != len(jobs):
            return self._unusable(jobs, MISMATCHED, f"{len(returned)} for {len(jobs)} requests")
        try:
            heads, blobs, longest = results.plain_answers(jobs, returned)
        except results.UnsupportedOutput as error:
            return self._unusable(jobs, results.UNSUPPORTED, str(error))
        if self._batch.processors is not None or self._context.stopping_criteria:
            mores = self._unfinished(returned)
            processors = self._batch.request_processors() or []
            heads = results.shaped_heads(jobs, blobs, processors, mores)
        if longest > self._limit:
            results.limit_sizes(jobs, heads, blobs, self._limit)
        return heads, blobs

    def _unusable(
        self, jobs: list[JobHead], text: str, detail: str
    ) -> tuple[list[ReplyHead], list[bytes | bytearray]]:
        self._log(jobs, f"{text}: {detail}")
        pairs = [results.failed(job, PREDICTION_FAILED, text) for job in jobs]
        return [head for head, _ in pairs], [body for _, body in pairs]

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

    def _fail(self, jobs: list[JobHead], status: int, text: str, handler_us: int) -> None:
        pairs = [results.failed(job, status, text) for job in jobs]
        replies = Replies([head for head, _ in pairs], handler_us, self._drain())
        self._link.send(replies, [body for _, body in pairs])

    def _report(self, jobs: list[JobHead], error: Exception) -> None:
        self._log(jobs, "".join(traceback.format_exception(error)))

    @staticmethod
    def _log(jobs: list[JobHead], text: str) -> None:
        # Each line carries the ids, so that a search for a request id finds the whole traceback.
        ids = ",".join([job.request_id for job in jobs])
        sys.stderr.write("".join([f"[{ids}] {line}\n" for line in text.splitlines()]))
        sys.stderr.flush()
