"""Batches as handlers see them, and batching that changes under load."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest
from raw_http import Reply, ask, predict, wire
from watching import becomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running import LiveServer

SIZES = """
import os, time
def handle(data, context):
    if data is None:
        return None
    time.sleep(0.02)
    return [{"size": len(data), "properties": context.system_properties["batch_size"]}] * len(data)
"""
GATED = """
import os, time
def handle(data, context):
    if data is None:
        return None
    folder = os.environ["TMPDIR"]
    with open(os.path.join(folder, "sizes"), "a") as sizes:
        sizes.write(f"{len(data)}\\n")
    while not os.path.exists(os.path.join(folder, "open")):
        time.sleep(0.005)
    return [row.get("body") for row in data]
"""
CLIENTS = 16


async def scale(server: LiveServer, query: str) -> Reply:
    return await ask(server.management, "PUT", f"/models/sizes?{query}")


async def test_changing_batch_size_and_delay_under_load_loses_no_request(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"sizes.mar": {"sizes.py": SIZES}})
    assert server.register("sizes.mar").status_code == 200
    sizes: list[int] = []
    running = True

    async def client() -> None:
        async with wire(server.inference) as one:
            while running:
                reply = await one.ask("POST", "/predictions/sizes", b"x")
                assert reply.status == 200, reply.body
                sizes.append(json.loads(reply.body)["size"])

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    for size, delay in ((8, 50), (3, 0), (16, 1000), (1, 100)):
        reply = await scale(server, f"batch_size={size}&max_batch_delay={delay}")
        assert reply.status == 202
        seen = len(sizes) + 2 * CLIENTS + 2 * size
        await becomes(lambda least=seen: len(sizes) > least, "the load goes on")
        assert max(sizes[-CLIENTS:]) <= size
        if size > 1:
            assert max(sizes[-CLIENTS:]) > 1
        [described] = json.loads((await ask(server.management, "GET", "/models/sizes")).body)
        assert (described["batchSize"], described["maxBatchDelay"]) == (size, delay)
        assert len(described["workers"]) == 1
    running = False
    await asyncio.gather(*clients)


@pytest.mark.parametrize("query", ["batch_size=0", "max_batch_delay=-5"])
async def test_a_batch_setting_without_sense_is_refused_and_changes_nothing(
    serve: Callable[..., LiveServer], query: str
) -> None:
    server = serve({"sizes.mar": {"sizes.py": SIZES}})
    assert server.register("sizes.mar", batch_size=4).status_code == 200
    reply = await scale(server, query)
    assert reply.status == 400
    [described] = json.loads((await ask(server.management, "GET", "/models/sizes")).body)
    assert (described["batchSize"], described["maxBatchDelay"]) == (4, 100)


async def gathered(server: LiveServer) -> list[int]:
    """Sizes of the batches of one request and, while it runs, six more."""
    first = asyncio.create_task(predict(server.inference, "gated"))
    note = server.temp / "sizes"
    await becomes(note.exists, "the first batch runs")
    rest = [asyncio.create_task(predict(server.inference, "gated")) for _ in range(6)]

    def waiting() -> bool:
        described = server.client.get(f"{server.management}/models/gated").json()[0]
        return bool(described["jobQueueStatus"]["pendingRequests"] == 6)

    await becomes(waiting, "six wait")
    (server.temp / "open").touch()
    assert {reply.status for reply in await asyncio.gather(first, *rest)} == {200}
    return [int(line) for line in note.read_text().split()]


async def test_jobs_that_wait_while_the_worker_is_busy_travel_together(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"gated.mar": {"gated.py": GATED}})
    assert server.register("gated.mar", batch_size=4, max_batch_delay=10000).status_code == 200
    assert await gathered(server) == [1, 4, 2]


async def test_an_idle_worker_never_waits_for_company(serve: Callable[..., LiveServer]) -> None:
    server = serve({"sizes.mar": {"sizes.py": SIZES}})
    assert server.register("sizes.mar", batch_size=8, max_batch_delay=60000).status_code == 200
    began = time.monotonic()
    for _ in range(5):
        assert json.loads((await predict(server.inference, "sizes")).body)["size"] == 1
    assert time.monotonic() - began < 30


async def test_strict_batching_waits_for_the_delay_counted_from_arrival(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"sizes.mar": {"sizes.py": SIZES}}, settings={"batching": "strict"})
    answer = server.register("sizes.mar", batch_size=4, max_batch_delay=600, initial_workers=2)
    assert answer.status_code == 200
    began = time.monotonic()
    assert json.loads((await predict(server.inference, "sizes")).body)["size"] == 1
    alone = time.monotonic() - began
    began = time.monotonic()
    replies = await asyncio.gather(*[predict(server.inference, "sizes") for _ in range(4)])
    full = time.monotonic() - began
    assert {json.loads(reply.body)["size"] for reply in replies} == {4}
    assert 0.6 <= alone < 3
    assert full < 0.6


async def test_one_bad_answer_count_fails_its_batch_and_the_worker_lives_on(
    serve: Callable[..., LiveServer],
) -> None:
    source = "def handle(data, context):\n    return data and ['one'] * (len(data) + 1)\n"
    server = serve({"wrong.mar": {"wrong.py": source}})
    assert server.register("wrong.mar").status_code == 200
    before = server.workers("wrong")[0]["pid"]
    reply = await predict(server.inference, "wrong")
    assert (reply.status, reply.message) == (503, "number of batch response mismatched")
    assert server.workers("wrong")[0]["pid"] == before
