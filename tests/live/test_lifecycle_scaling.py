"""Registering and scaling while the server works: nobody waits for anybody else."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from raw_http import Reply, ask, predict, wire
from watching import becomes, pids, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running import LiveServer

ECHO = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"
LATE = """
import os, time
class Late:
    def initialize(self, context):
        while not os.path.exists(os.path.join(os.environ["TMPDIR"], "open")):
            time.sleep(0.01)
    def handle(self, data, context):
        return ["late"] * len(data)
"""
SLOW = """
import os, time
def handle(data, context):
    if data is None:
        return None
    with open(os.path.join(os.environ["TMPDIR"], "begun"), "a") as begun:
        begun.write("x")
    time.sleep(float(bytes(data[0]["body"]).decode()))
    return ["done"] * len(data)
"""


def known(server: LiveServer, model: str) -> bool:
    return server.client.get(f"{server.management}/models/{model}").status_code == 200


async def scale(server: LiveServer, model: str, query: str) -> Reply:
    return await ask(server.management, "PUT", f"/models/{model}?{query}")


async def test_a_synchronous_register_of_a_slow_model_blocks_nobody(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"echo.mar": {"echo.py": ECHO}, "late.mar": {"late.py": LATE}})
    assert server.register("echo.mar").status_code == 200
    query = "/models?url=late.mar&initial_workers=1&synchronous=true"
    register = asyncio.create_task(ask(server.management, "POST", query))
    await becomes(lambda: known(server, "late"), "the slow model is known")
    longest = 0.0
    for _ in range(20):
        for address, method, target in (
            (server.inference, "GET", "/ping"),
            (server.management, "GET", "/ping"),
            (server.inference, "POST", "/predictions/echo"),
            (server.management, "GET", "/models"),
            (server.management, "GET", "/models/late"),
            (server.metrics, "GET", "/metrics"),
        ):
            began = time.monotonic()
            reply = await ask(address, method, target)
            longest = max(longest, time.monotonic() - began)
            assert reply.status in ({200, 404} if target == "/ping" else {200})
    other = await ask(
        server.management, "POST", "/models?url=echo.mar&model_name=two&initial_workers=1"
    )
    assert other.status == 200
    assert not register.done()
    (server.temp / "open").touch()
    reply = await register
    assert (reply.status, reply.json()["status"]) == (
        200,
        'Model "late" Version: 1.0 registered with 1 initial workers',
    )
    assert longest < 1


async def test_a_register_call_whose_client_leaves_still_ends_well(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"late.mar": {"late.py": LATE}})
    async with wire(server.management) as one:
        one.send("POST", "/models?url=late.mar&initial_workers=1&synchronous=true")
        await becomes(lambda: known(server, "late"), "the model is known")
    (server.temp / "open").touch()
    await becomes(lambda: server.workers("late")[0]["status"] == "READY", "it is ready")
    assert (await predict(server.inference, "late")).body == b"late"


async def test_two_registrations_of_one_version_have_one_winner_and_leave_one_copy(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"echo.mar": {"echo.py": ECHO}})
    target = "/models?url=echo.mar&initial_workers=1&synchronous=true"
    replies = await asyncio.gather(*[ask(server.management, "POST", target) for _ in range(6)])
    assert sorted(reply.status for reply in replies) == [200, *[409] * 5]
    assert len(unpacked(server)) == 1
    assert len(pids(server, "echo")) == 1


@pytest.fixture
async def two_busy(serve: Callable[..., LiveServer]) -> LiveServer:
    """Two workers."""
    server = serve({"slow.mar": {"slow.py": SLOW}})
    assert server.register("slow.mar", initial_workers=2).status_code == 200
    return server


def begun(server: LiveServer) -> int:
    path = server.temp / "begun"
    return len(path.read_text()) if path.exists() else 0


async def test_timeout_0_ends_a_busy_worker_at_once(two_busy: LiveServer) -> None:
    server = two_busy
    async with wire(server.inference) as one, wire(server.inference) as two:
        one.send("POST", "/predictions/slow", b"60")
        two.send("POST", "/predictions/slow", b"60")
        await becomes(lambda: begun(server) == 2, "both workers are busy")
        began = time.monotonic()
        reply = await scale(server, "slow", "min_worker=0&timeout=0&synchronous=true")
        assert (reply.status, reply.json()["status"]) == (
            200,
            "Workers scaled to 0 for model: slow",
        )
        answers = [await one.reply(), await two.reply()]
        assert time.monotonic() - began < 30
    assert [answer.status for answer in answers] == [500, 500]
    assert server.workers("slow") == []


async def test_a_timeout_in_seconds_bounds_the_wait_for_a_busy_worker(two_busy: LiveServer) -> None:
    server = two_busy
    async with wire(server.inference) as one, wire(server.inference) as two:
        one.send("POST", "/predictions/slow", b"0.5")
        two.send("POST", "/predictions/slow", b"60")
        await becomes(lambda: begun(server) == 2, "both workers are busy")
        began = time.monotonic()
        reply = await scale(server, "slow", "min_worker=0&timeout=2&synchronous=true")
        waited = time.monotonic() - began
        answers = [await one.reply(), await two.reply()]
    assert reply.status == 200
    assert 1.9 <= waited < 30
    assert (answers[0].status, answers[0].body) == (200, b"done")
    assert answers[1].status == 500


async def test_without_a_timeout_a_busy_worker_finishes_and_the_queue_moves_on(
    two_busy: LiveServer,
) -> None:
    server = two_busy
    async with wire(server.inference) as one, wire(server.inference) as two:
        one.send("POST", "/predictions/slow", b"1.5")
        two.send("POST", "/predictions/slow", b"1.5")
        await becomes(lambda: begun(server) == 2, "both workers are busy")
        queued = [asyncio.create_task(predict(server.inference, "slow", b"0.01")) for _ in range(5)]
        reply = await scale(server, "slow", "min_worker=1&synchronous=true")
        assert reply.status == 200
        assert len(server.workers("slow")) == 1
        answers = [await one.reply(), await two.reply(), *await asyncio.gather(*queued)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, b"done")}


async def test_unregister_finishes_what_runs_and_answers_what_waits(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"slow.mar": {"slow.py": SLOW}})
    assert server.register("slow.mar").status_code == 200
    async with wire(server.inference) as running, wire(server.inference) as queued:
        running.send("POST", "/predictions/slow", b"1")
        await becomes(lambda: begun(server) == 1, "the handler runs")
        queued.send("POST", "/predictions/slow", b"0")
        target = f"{server.management}/models/slow"
        await becomes(
            lambda: server.client.get(target).json()[0]["jobQueueStatus"]["pendingRequests"] == 1,
            "one waits",
        )
        reply = await ask(server.management, "DELETE", "/models/slow")
        assert (reply.status, reply.json()["status"]) == (200, 'Model "slow" unregistered')
        assert (await running.reply()).body == b"done"
        answer = await queued.reply()
    assert (answer.status, answer.message) == (503, 'Model "slow" was unregistered.')
    assert unpacked(server) == []
