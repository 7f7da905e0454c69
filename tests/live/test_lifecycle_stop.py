"""The end of a server: asked for, asked for twice, and sudden."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from raw_http import wire
from watching import becomes, family, living, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running import LiveServer

SLOW = """
import os, time
def handle(data, context):
    if data is None:
        return None
    seconds = float(data[0]["body"])
    open(os.path.join(os.environ["TMPDIR"], "running"), "w").close()
    time.sleep(seconds)
    return ["done"] * len(data)
"""
STARTING = {"preload": "true", "fresh": "false"}


@pytest.fixture
def server(serve: Callable[..., LiveServer], request: pytest.FixtureRequest) -> LiveServer:
    settings = getattr(request, "param", {})
    running = serve({"slow.mar": {"slow.py": SLOW}}, settings=settings)
    assert running.register("slow.mar").status_code == 200
    return running


async def refused(address: str) -> bool:
    try:
        async with wire(address):
            return False
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # it was on its way when the listener closed


async def listening_ends(server: LiveServer) -> None:
    async def closed() -> bool:
        return await refused(server.inference) and await refused(server.management)

    began = time.monotonic()
    while not await closed():
        assert time.monotonic() - began < 10, "the server still takes connections"
        await asyncio.sleep(0.01)


async def ended(server: LiveServer, limit: float) -> int:
    return await asyncio.wait_for(asyncio.to_thread(server.process.wait, limit), limit)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_was_accepted_is_answered_and_nothing_new_is_taken(
    server: LiveServer, number: signal.Signals
) -> None:
    async with wire(server.inference) as running, wire(server.inference) as queued:
        running.send("POST", "/predictions/slow", b"1.5")
        await becomes((server.temp / "running").exists, "the handler runs")
        queued.send("POST", "/predictions/slow", b"0.1")
        await becomes(lambda: waiting(server) == 1, "the second request waits")
        workers = family(server.process.pid)
        server.process.send_signal(number)
        await listening_ends(server)
        assert (await running.reply()).body == b"done"
        reply = await queued.reply()
        assert (reply.status, reply.body) == (200, b"done")
        assert reply.headers["connection"] == "close"
        running.hang_up()
        queued.hang_up()
        assert await ended(server, 10) == 0
    assert living(workers) == []
    assert list(server.temp.glob("flambeau-*")) == []


def waiting(server: LiveServer) -> int:
    described = server.client.get(f"{server.management}/models/slow").json()[0]
    return int(described["jobQueueStatus"]["pendingRequests"])


@pytest.mark.parametrize("server", [{"drain_timeout": "0.5"}], indirect=True)
async def test_the_wait_for_accepted_work_is_bounded(server: LiveServer) -> None:
    async with wire(server.inference) as running, wire(server.inference) as queued:
        running.send("POST", "/predictions/slow", b"60")
        await becomes((server.temp / "running").exists, "the handler runs")
        queued.send("POST", "/predictions/slow", b"60")
        await becomes(lambda: waiting(server) == 1, "the second request waits")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        replies = [await running.reply(), await queued.reply()]
        assert [reply.status for reply in replies] == [500, 503]
        assert replies[1].message == "The server is stopping."
        running.hang_up()
        queued.hang_up()
        assert await ended(server, 20) == 0
        assert time.monotonic() - began < 30
    assert list(server.temp.glob("flambeau-*")) == []


async def test_a_second_signal_ends_everything_at_once(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"slow.mar": {"slow.py": SLOW}})
    assert server.register("slow.mar").status_code == 200
    async with wire(server.inference) as running:
        running.send("POST", "/predictions/slow", b"60")
        await becomes((server.temp / "running").exists, "the handler runs")
        workers = family(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        await listening_ends(server)
        server.process.send_signal(signal.SIGTERM)
        assert await ended(server, 10) == 1
        await becomes(lambda: not living(workers), "no worker survives")
    assert list(server.temp.glob("flambeau-*")) == []


@pytest.mark.parametrize("preload", STARTING.values(), ids=STARTING)
async def test_no_worker_survives_a_server_that_is_killed(
    serve: Callable[..., LiveServer], preload: str
) -> None:
    server = serve({"slow.mar": {"slow.py": SLOW}}, settings={"worker_preload": preload})
    assert server.register("slow.mar", initial_workers=2).status_code == 200
    async with wire(server.inference) as running:
        running.send("POST", "/predictions/slow", b"60")
        await becomes((server.temp / "running").exists, "the handler runs")
        workers = family(server.process.pid)
        assert len(workers) == (3 if preload == "true" else 2)
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        await becomes(lambda: not living(workers), "no worker or template survives", 1)


def test_the_next_server_removes_what_a_killed_one_left(
    serve: Callable[..., LiveServer], server: LiveServer
) -> None:
    [left] = server.temp.glob("flambeau-*")
    server.process.kill()
    server.process.wait()
    assert left.exists()
    successor = serve(environment={"TEMP": str(server.temp)})
    assert not left.exists()
    assert len(list(server.temp.glob("flambeau-*"))) == 1
    assert Path(successor.folder).is_dir()


@pytest.mark.parametrize("preload", STARTING.values(), ids=STARTING)
def test_a_stop_while_a_model_loads_does_not_wait_for_it(
    serve: Callable[..., LiveServer], preload: str
) -> None:
    never = "import time\nclass Never:\n    def initialize(self, context): time.sleep(600)\n"
    never += "    def handle(self, data, context): return data\n"
    server = serve({"never.mar": {"never.py": never}}, settings={"worker_preload": preload})
    assert server.register("never.mar", synchronous="false").status_code == 202
    until(lambda: len(family(server.process.pid)) >= 1, "the worker is there")
    workers = family(server.process.pid)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 10
    assert living(workers) == []
