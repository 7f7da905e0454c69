"""More work than can be done: what is said, what is dropped, and when a request has waited enough."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from raw_http import predict, wire
from watching import becomes, pids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.running import LiveServer

GATED = """
import os, time
FOLDER = os.environ["TMPDIR"]
def handle(data, context):
    if data is None:
        return None
    words = [bytes(row["body"]).decode() for row in data]
    with open(os.path.join(FOLDER, "seen"), "a") as seen:
        seen.write("\\n".join(words) + "\\n")
    while "gate" in words[0] and not os.path.exists(os.path.join(FOLDER, "open")):
        time.sleep(0.01)
    return words
"""
LOADING = """
import os, time
while not os.path.exists(os.path.join(os.environ["TMPDIR"], "open")):
    time.sleep(0.01)
def handle(data, context):
    return data and ["ok"] * len(data)
"""
FAILING = """
import os
class Failing:
    def initialize(self, context):
        open(os.path.join(os.environ["TMPDIR"], "weights"))
    def handle(self, data, context):
        return ["ok"] * len(data)
"""
YAML = "minWorkers: 1\nmaxWorkers: 1\n"


def seen(server: LiveServer) -> list[str]:
    path = server.temp / "seen"
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def gated(serve: Callable[..., LiveServer], pack: Callable[..., Path]) -> Callable[..., LiveServer]:
    """``gated(yaml)``: a server whose handler holds requests with ``gate`` until it is opened."""

    def made(config: str = YAML) -> LiveServer:
        server = serve()
        pack(server.store / "gated.mar", {"gated.py": GATED}, handler="gated", config=config)
        assert server.register("gated.mar").status_code == 200
        return server

    return made


async def test_four_reasons_have_four_sentences_one_status_and_retry_after(
    serve: Callable[..., LiveServer], pack: Callable[..., Path]
) -> None:
    server = serve(settings={"job_queue_size": "1"})
    for name, source in {"gated": GATED, "loading": LOADING, "failing": FAILING}.items():
        pack(server.store / f"{name}.mar", {f"{name}.py": source}, handler=name)
    for name, workers in {"gated": 1, "loading": 1, "failing": 1, "none": 0}.items():
        url = f"{name.replace('none', 'gated')}.mar"
        answer = server.register(url, model_name=name, initial_workers=workers, synchronous="false")
        assert answer.status_code == (202 if workers else 200)

    def hopeless() -> bool:
        return server.workers("failing")[0].get("tries", 0) >= 3

    async with (
        wire(server.inference) as running,
        wire(server.inference) as queued,
        wire(server.inference) as early,
    ):
        running.send("POST", "/predictions/gated", b"gate")
        await becomes(lambda: seen(server), "the handler runs")
        queued.send("POST", "/predictions/gated", b"queued")
        early.send("POST", "/predictions/loading", b"early")
        await becomes(lambda: pending(server, "gated") == 1, "one waits")
        await becomes(lambda: pending(server, "loading") == 1, "one waits for the loading model")
        await becomes(hopeless, "the failing model has tried three times")
        replies = {
            name: await predict(server.inference, name)
            for name in ("gated", "loading", "failing", "none")
        }
        (server.temp / "open").touch()
        assert (await queued.reply()).body == b"queued"
        assert (await early.reply()).body == b"ok"
    assert {(reply.status, reply.json()["type"]) for reply in replies.values()} == {
        (503, "ServiceUnavailableException")
    }
    assert all(int(reply.headers["retry-after"]) > 0 for reply in replies.values())
    for name, words in {
        "gated": "or raise job_queue_size",
        "loading": "is still loading",
        "failing": "FileNotFoundError",
        "none": "has no worker to serve inference request",
    }.items():
        assert [each for each, reply in replies.items() if words in reply.message] == [name]


def pending(server: LiveServer, model: str) -> int:
    described = server.client.get(f"{server.management}/models/{model}").json()[0]
    return int(described["jobQueueStatus"]["pendingRequests"])


async def test_a_client_that_has_gone_never_reaches_the_worker(
    gated: Callable[..., LiveServer],
) -> None:
    server = gated()
    [worker] = pids(server, "gated")
    async with wire(server.inference) as running, wire(server.inference) as patient:
        running.send("POST", "/predictions/gated", b"gate")
        await becomes(lambda: seen(server), "the handler runs")
        for number in range(5):
            async with wire(server.inference) as impatient:
                impatient.send("POST", "/predictions/gated", b"gone%d" % number)
                await becomes(lambda: pending(server, "gated") == 1, "it waits")
            await becomes(lambda: pending(server, "gated") == 0, "it is dropped")
        patient.send("POST", "/predictions/gated", b"patient")
        await becomes(lambda: pending(server, "gated") == 1, "the next one waits")
        (server.temp / "open").touch()
        assert (await patient.reply()).body == b"patient"
    assert seen(server) == ["gate", "patient"]
    assert pids(server, "gated") == [worker]


async def test_gone_clients_leave_their_places_in_a_full_queue(
    gated: Callable[..., LiveServer],
) -> None:
    server = gated(f"{YAML}jobQueueSize: 2\n")
    async with wire(server.inference) as running, wire(server.inference) as patient:
        running.send("POST", "/predictions/gated", b"gate")
        await becomes(lambda: seen(server), "the handler runs")
        async with wire(server.inference) as one, wire(server.inference) as two:
            one.send("POST", "/predictions/gated", b"one")
            two.send("POST", "/predictions/gated", b"two")
            await becomes(lambda: pending(server, "gated") == 2, "both wait")
            assert (await predict(server.inference, "gated")).status == 503
        await becomes(lambda: pending(server, "gated") == 0, "both are gone")
        patient.send("POST", "/predictions/gated", b"patient")
        (server.temp / "open").touch()
        assert (await patient.reply()).status == 200
    assert seen(server) == ["gate", "patient"]


async def test_a_request_over_the_response_timeout_costs_its_worker_only(
    gated: Callable[..., LiveServer],
) -> None:
    server = gated("minWorkers: 2\nmaxWorkers: 2\nresponseTimeout: 3\n")
    before = set(pids(server, "gated"))
    async with wire(server.inference) as stuck:
        began = time.monotonic()
        stuck.send("POST", "/predictions/gated", b"gate")
        await becomes(lambda: seen(server), "the handler runs")
        others = await asyncio.gather(*[predict(server.inference, "gated") for _ in range(20)])
        assert time.monotonic() - began < 3
        assert {reply.status for reply in others} == {200}
        reply = await stuck.reply()
        waited = time.monotonic() - began
    assert (reply.status, reply.message) == (500, "Worker died.")
    assert waited >= 3
    (server.temp / "open").touch()
    await becomes(
        lambda: [each["status"] for each in server.workers("gated")] == ["READY"] * 2,
        "both workers are ready",
    )
    assert len(before & set(pids(server, "gated"))) == 1


async def test_who_waits_behind_a_stuck_request_moves_on(
    gated: Callable[..., LiveServer],
) -> None:
    server = gated(f"{YAML}responseTimeout: 1\n")
    async with wire(server.inference) as stuck, wire(server.inference) as queued:
        stuck.send("POST", "/predictions/gated", b"gate")
        await becomes(lambda: seen(server), "the handler runs")
        queued.send("POST", "/predictions/gated", b"queued")
        assert (await stuck.reply()).status == 500
        began = time.monotonic()
        reply = await queued.reply()
    assert (reply.status, reply.body) == (200, b"queued")
    assert time.monotonic() - began < 10
    assert seen(server) == ["gate", "queued"]


async def test_a_client_with_a_limit_is_answered_when_it_is_over(
    gated: Callable[..., LiveServer],
) -> None:
    server = gated(f"{YAML}clientTimeoutInMills: 300\n")
    [worker] = pids(server, "gated")
    async with wire(server.inference) as running, wire(server.inference) as queued:
        began = time.monotonic()
        running.send("POST", "/predictions/gated", b"gate")
        queued.send("POST", "/predictions/gated", b"queued")
        replies = [await running.reply(), await queued.reply()]
        waited = time.monotonic() - began
    assert [reply.status for reply in replies] == [503, 503]
    assert all("300 ms (clientTimeoutInMills)" in reply.message for reply in replies)
    assert waited >= 0.3
    (server.temp / "open").touch()
    assert (await predict(server.inference, "gated", b"next")).body == b"next"
    assert "queued" not in seen(server)
    assert pids(server, "gated") == [worker]
