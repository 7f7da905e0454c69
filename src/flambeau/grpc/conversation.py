"""StreamPredictions2: requests of sequences and their answers, both ways in one call.

Each request becomes a job of its own as it comes, in the client's order; each answer leaves when
it is there. A request that cannot be answered gets a message with its status, and the call goes
on: one bad request ends nothing for the others. When the client has sent its last request, the
call ends with the last answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

from flambeau.errors import BadRequest, FlambeauError, ShuttingDown
from flambeau.grpc import inference_pb2 as messages
from flambeau.grpc.asking import Inbox, inputs
from flambeau.grpc.rpcs import INFERENCE
from flambeau.grpc.status import message_of
from flambeau.jobs.job import Job, pack_headers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from flambeau.grpc.rpcs import RpcCall
    from flambeau.jobs.job import Answer, Headers

Request = messages.PredictionsRequest
Response = messages.PredictionResponse

MOST_OPEN = 64
"""Requests of one call that may be under way; the next is read when one of them is answered."""


class Conversation:
    """One such call."""

    def __init__(self, call: RpcCall) -> None:
        self._call = call
        self._inbox = Inbox()
        self._room = asyncio.Semaphore(MOST_OPEN)
        self._open: dict[Job, str] = {}
        """Jobs without a last answer, and the sequences they belong to."""
        self._all_read = False

    async def answers(self, requests: AsyncIterator[Request]) -> AsyncGenerator[Response]:
        """Every answer, until the client has sent all it has and got all answers.

        Raises ShuttingDown, after the open answers, when the server stops first.
        """
        stopping = self._call.site.stopping
        reading = asyncio.create_task(self._read(requests))

        def stop_reading(_: object) -> None:
            reading.cancel()

        stopping.add_done_callback(stop_reading)
        try:
            while (taken := await self._inbox.take()) is not None:
                yield self._response(*taken)
            if stopping.done():
                raise ShuttingDown("The server is stopping.")
            await reading
        finally:
            stopping.remove_done_callback(stop_reading)
            reading.cancel()
            for job in self._open:
                job.cancel()
            self._inbox.close()

    async def _read(self, requests: AsyncIterator[Request]) -> None:
        try:
            async for request in requests:
                await self._room.acquire()
                self._ask(request)
        finally:
            self._all_read = True
            self._finish_when_done()

    def _ask(self, request: Request) -> None:
        call = self._call
        job = Job(str(uuid4()), self._headers(request), inputs(request.input), self._inbox.put)
        self._open[job] = request.sequence_id
        try:
            call.check(INFERENCE, request.model_name)
            if not request.model_name:
                raise BadRequest("Parameter model_name is required.")
            if not request.sequence_id:
                raise BadRequest("Parameter sequenceId is required.")
            call.site.plane.submit(request.model_name, request.model_version or None, job)
        except FlambeauError as error:
            job.fail(error)

    def _headers(self, request: Request) -> Headers:
        """What tells the handler which sequence this is, and whether it begins or ends here.

        The client says the latter with an input of the header's name.
        """
        name, *marks = self._call.site.sequence_headers
        marked = [mark for mark in marks if request.input.get(mark, b"").lower() == b"true"]
        return pack_headers([(name, request.sequence_id), *((mark, "true") for mark in marked)])

    def _response(self, job: Job, answer: Answer) -> Response:
        sequence = self._open[job]
        if not answer.more:
            del self._open[job]
            self._room.release()
            self._finish_when_done()
        if answer.error is not None:
            return Response(sequence_id=sequence, status=message_of(answer.error))
        return Response(sequence_id=sequence, prediction=answer.body)

    def _finish_when_done(self) -> None:
        if self._all_read and not self._open:
            self._inbox.finish()
