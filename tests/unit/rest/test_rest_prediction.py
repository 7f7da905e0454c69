from __future__ import annotations

import asyncio

import pytest

from flambeau.errors import WorkerDied
from flambeau.jobs.job import Answer


class Flow:
    """Counts what a face asks of the worker's channel."""

    def __init__(self):
        self.calls = []

    def pause(self):
        self.calls.append("pause")

    def resume(self):
        self.calls.append("resume")

    def cancel(self, job):
        self.calls.append("cancel")


@pytest.fixture
def stream(inference, plane):
    """A job that waits for its pieces, and its wire."""
    plane.answer = lambda _: None
    exchange, wire = inference.exchange("POST", "/predictions/echo")
    inference.app(exchange)
    job = plane.jobs[0]
    job.flow = Flow()
    return job, wire, exchange


async def test_pieces_leave_as_chunks_at_once(inference, stream):
    job, wire, _ = stream
    job.answer(Answer(headers=[("content-type", "text/event-stream")], body=b"one", more=True))
    assert wire.response.rest == b"3\r\none\r\n"
    job.answer(Answer(500, headers=[("x", "late")], body=b"last"))
    response = wire.response
    assert (response.status, response.reason) == (200, "")
    assert response.chunks == [b"one", b"last", b""]
    assert response.headers["ts_stream_next"] == "true"
    assert response.headers["content-type"] == "text/event-stream"
    assert "x" not in response.headers
    assert inference.counts == [200]
    assert len(inference.lines) == 1


async def test_an_empty_piece_ends_no_stream(stream):
    job, wire, _ = stream
    job.answer(Answer(body=b"", more=True))
    job.answer(Answer(body=b""))
    assert wire.response.chunks == [b""]


async def test_an_error_in_mid_stream_breaks_the_connection(stream):
    job, wire, _ = stream
    job.answer(Answer(body=b"one", more=True))
    job.fail(WorkerDied())
    assert wire.response.chunks == [b"one"]
    assert wire.closed is True


async def test_a_bad_status_on_the_first_piece_is_an_error_and_ends_the_job(stream):
    job, wire, _ = stream
    job.answer(Answer(700, body=b"one", more=True))
    assert wire.response.status == 500
    assert job.cancelled
    assert job.flow.calls == ["cancel"]


async def test_a_slow_reader_holds_the_worker_back_until_it_has_read(stream):
    job, wire, _ = stream
    job.answer(Answer(body=b"one", more=True))
    assert job.flow.calls == []
    wire.writable = False
    job.answer(Answer(body=b"two", more=True))
    job.answer(Answer(body=b"three", more=True))  # was on its way already
    await asyncio.sleep(0)
    assert job.flow.calls == ["pause"]
    wire.room.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert job.flow.calls == ["pause", "resume"]
    wire.writable = True
    job.answer(Answer(body=b"last"))
    assert wire.response.chunks == [b"one", b"two", b"three", b"last", b""]


async def test_a_slow_reader_that_leaves_lets_the_worker_go_on(stream):
    job, wire, exchange = stream
    wire.writable = False
    job.answer(Answer(body=b"one", more=True))
    await asyncio.sleep(0)
    exchange.lose()
    wire.room.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert job.flow.calls == ["pause", "cancel", "resume"]
