"""Workers that are killed while they work: who is hurt, who is not, and how soon they are back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from raw_http import Reply, wire
from watching import becomes, measured, pids

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running import LiveServer

CLIENTS = 32
KILLS = 3
BATCHED = """
import os, time
def handle(data, context):
    if data is None:
        return None
    with open(os.path.join(os.environ["TMPDIR"], "running"), "w") as note:
        note.write(" ".join(context.request_ids.values()))
    time.sleep(0.02)
    return ["ok"] * len(data)
"""


class Load:
    """Requests from many connections, one after the other on each, until told to stop."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.answers: list[tuple[float, Reply]] = []
        self.running = True

    async def client(self) -> None:
        while self.running:
            async with wire(self.server.inference) as one:
                while self.running:
                    reply = await one.ask("POST", "/predictions/batched", b"x")
                    self.answers.append((time.monotonic(), reply))
                    if reply.headers.get("connection") == "close":
                        break

    def failed(self) -> list[tuple[float, Reply]]:
        return [(when, reply) for when, reply in self.answers if reply.status != 200]


async def test_a_kill_under_load_fails_the_running_batch_at_once_and_nobody_else(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"batched.mar": {"batched.py": BATCHED}})
    assert server.register("batched.mar", batch_size=4).status_code == 200
    load = Load(server)
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    delays = []
    for _ in range(KILLS):
        steady = len(load.answers) + 2 * CLIENTS
        await becomes(lambda least=steady: len(load.answers) > least, "the load runs")
        [victim] = await asyncio.to_thread(pids, server, "batched")
        before = len(load.failed())
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        await becomes(lambda least=before: len(load.failed()) > least, "the batch is answered")
        delays.append(max(when for when, _ in load.failed()[before:]) - killed)
        await becomes(
            lambda old=victim: (
                [
                    worker["pid"] != old and worker["status"] == "READY"
                    for worker in server.workers("batched")
                ]
                == [True]
            ),
            "the worker is back",
        )
    steady = len(load.answers) + 2 * CLIENTS
    await becomes(lambda: len(load.answers) > steady, "the load goes on")
    load.running = False
    await asyncio.gather(*clients)
    measured(f"answered after a kill: {[f'{delay * 1000:.1f} ms' for delay in delays]}")
    failed = load.failed()
    assert KILLS <= len(failed) <= KILLS * 4
    assert {(reply.status, reply.message) for _, reply in failed} == {(507, "Worker died.")}
    assert max(delays) < 1.0


async def test_the_request_that_was_running_is_named_by_its_error(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"batched.mar": {"batched.py": BATCHED.replace("0.02", "60")}})
    assert server.register("batched.mar").status_code == 200
    note = server.temp / "running"
    async with wire(server.inference) as running, wire(server.inference) as queued:
        running.send("POST", "/predictions/batched", b"x")
        await becomes(lambda: note.exists() and note.read_text(), "the handler runs")
        queued.send("POST", "/predictions/batched", b"x")
        [victim] = await asyncio.to_thread(pids, server, "batched")
        running_ids = note.read_text()
        os.kill(victim, signal.SIGKILL)
        reply = await running.reply()
        assert (reply.status, reply.json()["type"]) == (507, "InternalServerException")
        assert reply.headers["x-request-id"] == running_ids
        await becomes(lambda: note.read_text() not in ("", running_ids), "the queued one runs")
        os.kill((await asyncio.to_thread(pids, server, "batched"))[0], signal.SIGKILL)
        assert (await queued.reply()).status == 507
