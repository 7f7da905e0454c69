"""StreamPredictions2: many requests, many answers, one call."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from flambeau.errors import HandlerFailed
from flambeau.grpc.conversation import MOST_OPEN
from flambeau.grpc.inference_pb2 import PredictionsRequest
from flambeau.transport.messages import unpack_headers

Code = grpc.StatusCode
LIMIT = 10


def of(sequence, **marks):
    inputs = {"data": b"x"} | {f"ts_request_sequence_{k}": v for k, v in marks.items()}
    return PredictionsRequest(model_name="echo", sequence_id=sequence, input=inputs)


@pytest.fixture
def call(served):
    return served.call("StreamPredictions2")()


async def test_answers_leave_when_they_are_there_and_name_their_sequence(call, plane, answers):
    await call.write(of("a"))
    await call.write(of("b"))
    first, second = await plane.job(), await plane.job()
    answers.last(second, b"2")
    answer = await call.read()
    assert (answer.sequence_id, answer.prediction) == ("b", b"2")
    answers.last(first, b"1")
    answer = await call.read()
    assert (answer.sequence_id, answer.prediction) == ("a", b"1")


async def test_the_handler_learns_the_sequence_and_what_the_client_says_of_it(call, plane):
    for request in (of("a", start=b"True"), of("a"), of("a", end=b"true"), of("a", end=b"no")):
        await call.write(request)
    seen = [unpack_headers((await plane.job()).headers) for _ in range(4)]
    sequence = ("ts_request_sequence_id", "a")
    assert seen == [
        [sequence, ("ts_request_sequence_start", "true")],
        [sequence],
        [sequence, ("ts_request_sequence_end", "true")],
        [sequence],
    ]


async def test_the_call_ends_with_the_last_answer_after_the_last_request(call, plane, answers):
    await call.write(of("a"))
    await call.done_writing()
    job = await plane.job()
    answers.piece(job, b"1")
    answers.last(job, b"2")
    assert [(await call.read()).prediction for _ in range(2)] == [b"1", b"2"]
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is Code.OK


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (PredictionsRequest(sequence_id="a"), 3, "Parameter model_name is required."),
        (PredictionsRequest(model_name="echo"), 3, "Parameter sequenceId is required."),
        (PredictionsRequest(model_name="no", sequence_id="a"), 5, "Model not found: no"),
    ],
)
async def test_a_request_that_cannot_be_asked_is_told_and_the_call_goes_on(
    call, plane, answers, request_, code, text
):
    await call.write(request_)
    status = (await call.read()).status
    assert (status.code, status.message) == (code, text)
    await call.write(of("b"))
    answers.last(await plane.job(), b"fine")
    assert (await call.read()).prediction == b"fine"


async def test_a_failure_of_one_request_is_told_and_the_call_goes_on(call, plane, answers):
    await call.write(of("a"))
    await call.write(of("b"))
    (await plane.job()).fail(HandlerFailed("Prediction failed"))
    answers.last(await plane.job(), b"fine")
    failed, fine = await call.read(), await call.read()
    assert (failed.status.message, failed.sequence_id) == ("Prediction failed", "a")
    assert (fine.prediction, fine.HasField("status")) == (b"fine", False)


async def test_a_client_that_goes_away_takes_all_its_jobs_with_it(call, plane, happens):
    await call.write(of("a"))
    await call.write(of("b"))
    jobs = [await plane.job(), await plane.job()]
    call.cancel()
    await happens(lambda: all(job.cancelled for job in jobs))


async def test_no_more_requests_are_read_than_may_be_open(call, plane, answers):
    async def write_all():
        for number in range(MOST_OPEN + 1):
            await call.write(of(str(number)))

    writing = asyncio.create_task(write_all())
    jobs = [await plane.job() for _ in range(MOST_OPEN)]
    await writing
    await asyncio.sleep(0.1)
    assert plane.jobs.empty()
    answers.last(jobs[0])
    await call.read()
    await plane.job()


async def test_an_open_conversation_ends_when_the_server_stops(served, call, plane, answers):
    await call.write(of("a"))
    job = await plane.job()
    served.servers.close(LIMIT)
    answers.last(job, b"last")
    assert (await call.read()).prediction == b"last"
    assert await call.code() is Code.UNAVAILABLE
    assert (await call.details()).startswith("The server is stopping.")
