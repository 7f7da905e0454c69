"""Processes that end, stop or multiply in ways nobody asked for."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import psutil
import pytest
from raw_http import predict, wire
from watching import becomes, family, living, pids

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running import LiveServer

ECHO = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"
MOST_HELD = 192 * 1024 * 1024
"""Bytes: what may wait for file and console, and what one round of the loop reads."""
NOTING = """
import os
SEEN = os.open(os.path.join(os.environ["TMPDIR"], "seen"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
def handle(data, context):
    if data is None:
        return None
    for row in data:
        os.write(SEEN, bytes(row["body"]) + b"\\n")
    return ["ok"] * len(data)
"""
OBEYING = """
import os, signal, sys, time
def handle(data, context):
    if data is None:
        return None
    word = bytes(data[0]["body"]).decode()
    if word == "exit":
        os._exit(3)
    if word == "leave":
        sys.exit(3)
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if word == "child":
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
    if word == "flood":
        for number in range(20_000):
            print("word " * 20)
    if word == "endless":
        sys.stdout.write("x" * 200_000_000)
        sys.stdout.flush()
    if word in ("wait", "child"):
        open(os.path.join(os.environ["TMPDIR"], "waiting"), "w").close()
        time.sleep(60)
    return ["ok"] * len(data)
"""


@pytest.fixture
def obeying(serve: Callable[..., LiveServer]) -> LiveServer:
    server = serve({"obeying.mar": {"obeying.py": OBEYING}})
    assert server.register("obeying.mar", response_timeout=3).status_code == 200
    return server


def ready(server: LiveServer, model: str, workers: int = 1) -> bool:
    return [each["status"] for each in server.workers(model)] == ["READY"] * workers


async def test_kills_among_batches_sent_ahead_run_no_request_twice(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"noting.mar": {"noting.py": NOTING}})
    assert server.register("noting.mar").status_code == 200
    answers: dict[bytes, int] = {}
    running = True

    async def client(number: int) -> None:
        sent = 0
        while running:
            async with wire(server.inference) as one:
                reply_closes = False
                while running and not reply_closes:
                    sent += 1
                    body = b"%d-%d" % (number, sent)
                    reply = await one.ask("POST", "/predictions/noting", body)
                    answers[body] = reply.status
                    reply_closes = reply.headers.get("connection") == "close"

    clients = [asyncio.create_task(client(number)) for number in range(32)]
    for _ in range(3):
        enough = len(answers) + 300
        await becomes(lambda least=enough: len(answers) > least, "the load runs")
        [victim] = await asyncio.to_thread(pids, server, "noting")
        os.kill(victim, signal.SIGKILL)
        await becomes(
            lambda old=victim: ready(server, "noting") and pids(server, "noting") != [old],
            "the worker is back",
        )
    running = False
    await asyncio.gather(*clients)
    seen = Counter((server.temp / "seen").read_bytes().split())
    assert [body for body, times in seen.items() if times > 1] == []
    failed = [body for body, status in answers.items() if status != 200]
    assert len(failed) <= 3
    assert {body for body in answers if body not in seen} <= set(failed)


@pytest.mark.parametrize("word", ["exit", "leave", "crash"])
async def test_a_handler_that_ends_its_process_fails_its_request_only(
    obeying: LiveServer, word: str
) -> None:
    [before] = pids(obeying, "obeying")
    reply = await predict(obeying.inference, "obeying", word.encode())
    assert (reply.status, reply.message) == (500, "Worker died.")
    assert (await predict(obeying.inference, "obeying", b"x")).body == b"ok"
    await becomes(lambda: pids(obeying, "obeying") != [before], "there is a new process")


async def test_a_worker_that_is_stopped_is_recycled_when_its_time_is_up(
    obeying: LiveServer,
) -> None:
    [before] = pids(obeying, "obeying")
    began = time.monotonic()
    reply = await predict(obeying.inference, "obeying", b"stop")
    assert (reply.status, reply.message) == (500, "Worker died.")
    assert time.monotonic() - began >= 3
    assert (await predict(obeying.inference, "obeying", b"x")).body == b"ok"
    assert not psutil.pid_exists(before)


async def test_a_child_that_holds_the_workers_socket_delays_nobody_for_long(
    obeying: LiveServer,
) -> None:
    [victim] = pids(obeying, "obeying")
    async with wire(obeying.inference) as one:
        one.send("POST", "/predictions/obeying", b"child")
        await becomes((obeying.temp / "waiting").exists, "the handler has a child")
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        reply = await one.reply()
        assert reply.status in (500, 507)
        assert time.monotonic() - began < 15
    assert (await predict(obeying.inference, "obeying", b"x")).body == b"ok"


async def test_a_template_that_is_killed_is_replaced_with_its_workers(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"echo.mar": {"echo.py": ECHO}})
    assert server.register("echo.mar", initial_workers=2).status_code == 200
    before = family(server.process.pid)
    [template] = {psutil.Process(pid).parent() for pid in pids(server, "echo")}
    template.kill()
    await becomes(lambda: not living(before), "template and workers are gone", 5)
    await becomes(lambda: ready(server, "echo", 2), "two workers are back")
    assert (await predict(server.inference, "echo")).body == b"ok"
    assert len(family(server.process.pid)) == 3


@pytest.mark.parametrize("word", ["flood", "endless"])
async def test_a_handler_that_prints_without_end_does_not_fill_the_server(
    obeying: LiveServer, word: str
) -> None:
    answer = obeying.register("obeying.mar", model_name="patient", response_timeout=100)
    assert answer.status_code == 200
    process = psutil.Process(obeying.process.pid)
    before = process.memory_info().rss
    asking = asyncio.create_task(predict(obeying.inference, "patient", word.encode()))
    longest = 0.0
    while not asking.done():
        began = time.monotonic()
        assert (await predict(obeying.inference, "absent")).status == 404
        longest = max(longest, time.monotonic() - began)
    assert (await asking).body == b"ok"
    assert longest < 1
    assert process.memory_info().rss - before < MOST_HELD


async def test_signals_to_the_whole_group_leave_stopping_to_the_server(
    obeying: LiveServer,
) -> None:
    workers = family(obeying.process.pid)
    async with wire(obeying.inference) as one:
        one.send("POST", "/predictions/obeying", b"wait")
        await becomes((obeying.temp / "waiting").exists, "the handler runs")
        for worker in workers:
            worker.send_signal(signal.SIGINT)
            worker.send_signal(signal.SIGTERM)
        reply = await one.reply()
        assert reply.message == "Worker died."  # of its response timeout, not of the signal
    assert (await predict(obeying.inference, "obeying", b"x")).body == b"ok"
