"""One inference request between its exchange and its job.

``rest.app`` makes one per request; the job's answers arrive through ``answered``, on the event
loop, and leave as one response or as a stream. A reader that is slower than the stream's handler
holds the worker back until it has read. It never fails towards its caller: dispatch must not stop
for one client's trouble.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flambeau.errors import FlambeauError
from flambeau.rest.desk import ERROR
from flambeau.rest.replies import error_body, handler_status

if TYPE_CHECKING:
    from flambeau.http.exchange import Exchange
    from flambeau.jobs.job import Answer, Flow, Job
    from flambeau.rest.desk import Desk
    from flambeau.rest.route import Translation

_STREAM_MARK = "ts_stream_next"


class Prediction:
    """Answers one exchange with what becomes of its job."""

    __slots__ = ("_desk", "_exchange", "_holding", "_streaming", "_translation")

    def __init__(
        self, desk: Desk, exchange: Exchange, translation: Translation | None = None
    ) -> None:
        self._desk = desk
        self._exchange = exchange
        self._translation = translation
        self._streaming = False
        self._holding: asyncio.Task[None] | None = None

    def answered(self, job: Job, answer: Answer) -> None:
        """Send an answer, a piece of one, or an error."""
        try:
            if answer.error is not None:
                self._failed(job, answer.error, answer)
            elif answer.more or self._streaming:
                self._piece(job, answer)
            else:
                self._whole(job, answer)
        except FlambeauError as error:  # a status that cannot be sent
            self._failed(job, error)
            job.cancel()

    def _whole(self, job: Job, answer: Answer) -> None:
        desk, exchange, request_id = self._desk, self._exchange, job.request_id
        given = answer
        if self._translation is not None:
            answer = self._translation.answer(request_id, answer)
        status, phrase = answer.status, answer.phrase
        if status != 200 or phrase:  # noqa: PLR2004 - by far the most frequent status
            status, phrase = handler_status(status, phrase)
        if answer.headers:
            block = desk.blocks.of_handler(request_id, answer.headers)
        else:
            block = desk.blocks.standard(request_id)
        exchange.respond(status, phrase, block, answer.body, close=status >= ERROR)
        desk.note(exchange, status, request_id, job, given)

    def _piece(self, job: Job, answer: Answer) -> None:
        exchange = self._exchange
        if not self._streaming:
            self._begin(job, answer)
        ready = exchange.write(answer.body)
        if not answer.more:
            exchange.end()
        elif not ready and self._holding is None and job.flow is not None:
            job.flow.pause()
            self._holding = asyncio.get_running_loop().create_task(self._hold(job.flow))

    def _begin(self, job: Job, answer: Answer) -> None:
        status, phrase = handler_status(answer.status, answer.phrase)
        headers = [pair for pair in answer.headers if pair[0].lower() != _STREAM_MARK]
        headers.append((_STREAM_MARK, "true"))
        block = self._desk.blocks.of_handler(job.request_id, headers)
        self._exchange.start(status, phrase, block, close=status >= ERROR)
        self._streaming = True
        self._desk.note(self._exchange, status, job.request_id, job, answer)

    async def _hold(self, flow: Flow) -> None:
        """Keep the worker held back until the client has read, or has gone."""
        try:
            await self._exchange.drained()
        finally:
            self._holding = None
            flow.resume()

    def _failed(self, job: Job, error: FlambeauError, answer: Answer | None = None) -> None:
        if self._streaming:
            # The head has long gone: a broken connection is the only way left to say it.
            self._exchange.abort()
        else:
            body_of = error_body if self._translation is None else self._translation.error_body
            self._desk.fail(self._exchange, job.request_id, error, body_of, job, answer)
