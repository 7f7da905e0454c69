"""Predictions: whole, in pieces, and what becomes of a job whose client has gone."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from flambeau.errors import HandlerFailed
from flambeau.grpc.asking import HIGH_WATER, Inbox
from flambeau.grpc.inference_pb2 import PredictionsRequest
from flambeau.jobs.job import Answer, Job
from flambeau.transport.messages import NO_HEADERS, unpack_headers

Code = grpc.StatusCode
ECHO = PredictionsRequest(model_name="echo", input={"data": b"x"})
LIMIT = 10


async def test_ping_tells_the_health_in_json(served, plane):
    assert (await served.call("Ping")(Empty())).health == '{\n  "status": "Healthy"\n}'
    plane.is_healthy = False
    assert json.loads((await served.call("Ping")(Empty())).health) == {"status": "Unhealthy"}


async def test_inputs_reach_the_handler_by_name_and_undecoded(served, plane, answers):
    request = PredictionsRequest(model_name="echo", input={"a": b"1", "b": b"\x00\xff"})
    call = served.call("Predictions")(request, metadata=(("x-mine", "1"),))
    job = await plane.job()
    assert sorted(job.parts) == [("a", "", [b"1"]), ("b", "", [b"\x00\xff"])]
    assert unpack_headers(job.headers) == []
    assert not job.version_given
    answers.last(job, b"\x01")
    assert (await call).prediction == b"\x01"


async def test_a_version_is_passed_on(served, plane, answers):
    call = served.call("Predictions")(PredictionsRequest(model_name="echo", model_version="2.0"))
    job = await plane.job()
    assert job.version_given
    answers.last(job)
    await call


async def test_a_whole_answer_of_a_streaming_handler_is_its_pieces_joined(served, plane, answers):
    call = served.call("Predictions")(ECHO)
    job = await plane.job()
    answers.piece(job, b"a")
    answers.piece(job, b"b")
    answers.last(job, b"c")
    assert (await call).prediction == b"abc"


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (PredictionsRequest(), Code.INVALID_ARGUMENT, "Parameter model_name is required."),
        (PredictionsRequest(model_name="no"), Code.NOT_FOUND, "Model not found: no"),
        (
            PredictionsRequest(model_name="echo", model_version="9"),
            Code.NOT_FOUND,
            "Model version: 9 does not exist for model: echo",
        ),
    ],
)
@pytest.mark.parametrize("method", ["Predictions", "StreamPredictions"])
async def test_what_cannot_be_asked_is_told(served, failing, method, request_, code, text):
    call = served.call(method)(request_)
    error = await failing(call if method == "Predictions" else call.read())
    assert (error.code(), error.details().split("\n")[0]) == (code, text)


@pytest.mark.parametrize("method", ["Predictions", "StreamPredictions"])
async def test_a_cancelled_call_takes_its_job_off_the_queue(served, plane, flow, happens, method):
    call = served.call(method)(ECHO)
    job = await plane.job()
    job.flow = flow
    call.cancel()
    await happens(lambda: job.cancelled)
    assert flow.cancelled == [job]


@pytest.mark.parametrize("method", ["Predictions", "StreamPredictions"])
async def test_a_deadline_takes_its_job_off_the_queue(served, plane, failing, happens, method):
    call = served.call(method)(ECHO, timeout=0.2)
    job = await plane.job()
    error = await failing(call if method == "Predictions" else call.read())
    assert error.code() is Code.DEADLINE_EXCEEDED
    await happens(lambda: job.cancelled)


async def test_pieces_leave_as_they_come(served, plane, answers):
    call = served.call("StreamPredictions")(ECHO)
    job = await plane.job()
    for piece in (b"a", b"b"):
        answers.piece(job, piece)
        assert (await call.read()).prediction == piece
    answers.last(job, b"c")
    assert (await call.read()).prediction == b"c"
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is Code.OK


async def test_a_failure_in_mid_stream_ends_the_stream_with_its_status(
    served, plane, answers, failing
):
    call = served.call("StreamPredictions")(ECHO)
    job = await plane.job()
    answers.piece(job, b"a")
    job.fail(HandlerFailed("Prediction failed"))
    assert (await call.read()).prediction == b"a"
    error = await failing(call.read())
    assert (error.code(), error.details().split("\n")[0]) == (Code.UNAVAILABLE, "Prediction failed")


async def test_a_slow_reader_holds_its_worker_back_until_it_has_read(
    served, plane, flow, answers, happens
):
    call = served.call("StreamPredictions")(ECHO)
    job = await plane.job()
    job.flow = flow
    sent = 0
    async with asyncio.timeout(LIMIT):
        while not flow.holding:
            answers.piece(job, b"x" * 50_000)
            sent += 1
            await asyncio.sleep(0)
    for _ in range(sent):
        await call.read()
    await happens(lambda: not flow.holding)
    assert flow.holds == 1
    call.cancel()


async def test_a_slow_reader_that_goes_away_lets_its_worker_go_on(
    served, plane, flow, answers, happens
):
    call = served.call("StreamPredictions")(ECHO)
    job = await plane.job()
    job.flow = flow
    async with asyncio.timeout(LIMIT):
        while not flow.holding:
            answers.piece(job, b"x" * 50_000)
            await asyncio.sleep(0)
    call.cancel()
    await happens(lambda: not flow.holding)
    assert job.cancelled


async def test_an_inbox_holds_each_worker_back_once(flow):
    inbox = Inbox()
    jobs = [Job("1", NO_HEADERS, [], inbox.put), Job("2", NO_HEADERS, [], inbox.put)]
    for job in jobs:
        job.flow = flow
        job.answer(Answer(body=b"x" * (HIGH_WATER + 1), more=True))
    assert flow.holds == 1
    await inbox.take()
    assert flow.holding
    await inbox.take()
    assert not flow.holding
    inbox.finish()
    assert await inbox.take() is None
