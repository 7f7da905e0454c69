"""Answers in pieces: as they are made, as fast as they are read, and for as long as they are wanted."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from raw_http import predict, wire
from watching import becomes, measured, pids

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running import LiveServer

SEND = """
import os, time
from ts.handler_utils.utils import send_intermediate_predict_response
FOLDER = os.environ["TMPDIR"]
def note(name, text):
    with open(os.path.join(FOLDER, name), "w") as file:
        file.write(text)
def wait_for(name):
    while not os.path.exists(os.path.join(FOLDER, name)):
        time.sleep(0.005)
def send(pieces, context):
    send_intermediate_predict_response(
        pieces, context.request_ids, "Intermediate Prediction success", 200, context
    )
"""
STEPS = (
    SEND
    + """
def handle(data, context):
    if data is None:
        return None
    for index in range(len(data)):
        context.set_response_content_type(index, "text/event-stream")
    for step in range(3):
        send([f"data: {step}\\n\\n"] * len(data), context)
        wait_for(f"step{step}")
    return ["data: end\\n\\n"] * len(data)
"""
)
FLOOD = (
    SEND
    + """
PIECE = b"x" * 65536
def handle(data, context):
    if data is None:
        return None
    if bytes(data[0]["body"]) == b"short":
        return ["short"]
    sent = 0
    while not context.is_cancelled(0):
        send([PIECE], context)
        sent += 1
        note("sent", str(sent))
    note("cancelled", str(sent))
    return ["end"]
"""
)
PATIENT = (
    SEND
    + """
def handle(data, context):
    if data is None:
        return None
    send(["begun"] * len(data), context)
    while not all(context.is_cancelled(index) for index in range(len(data))):
        time.sleep(0.005)
        note("alive", "yes")
    note("cancelled", "yes")
    return ["end"] * len(data)
"""
)
RAISING = (
    SEND
    + """
def handle(data, context):
    if data is None:
        return None
    send(["one"] * len(data), context)
    raise ValueError("half way")
"""
)


@pytest.fixture
def streaming(serve: Callable[..., LiveServer]) -> Callable[..., LiveServer]:
    """``streaming(source)``: a server with one worker of a handler that sends pieces."""

    def made(source: str, **parameters: int) -> LiveServer:
        server = serve({"stream.mar": {"stream.py": source}})
        answer = server.register("stream.mar", **parameters)
        assert answer.status_code == 200, answer.text
        return server

    return made


async def test_each_piece_arrives_when_it_is_made_and_the_connection_can_be_used_again(
    streaming: Callable[..., LiveServer],
) -> None:
    server = streaming(STEPS)
    async with wire(server.inference) as one:
        for _ in range(2):
            one.send("POST", "/predictions/stream", b"x")
            status, headers = await one.head()
            assert (status, headers["transfer-encoding"]) == (200, "chunked")
            assert headers["content-type"] == "text/event-stream"
            assert "content-length" not in headers
            for step in range(3):
                assert await one.chunk() == b"data: %d\n\n" % step
                (server.temp / f"step{step}").touch()
            assert await one.chunk() == b"data: end\n\n"
            assert await one.chunk() == b""
        reply = await one.ask("GET", "/ping")
        assert reply.status == 200


async def test_every_request_of_a_batch_gets_its_own_stream(
    streaming: Callable[..., LiveServer],
) -> None:
    server = streaming(STEPS, batch_size=4)
    for step in range(3):
        (server.temp / f"step{step}").touch()
    replies = await asyncio.gather(*[predict(server.inference, "stream") for _ in range(9)])
    assert {reply.body for reply in replies} == {b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: end\n\n"}
    assert len({reply.headers["x-request-id"] for reply in replies}) == 9


async def test_a_slow_reader_holds_the_handler_back_and_the_server_stays_small(
    streaming: Callable[..., LiveServer],
) -> None:
    server = streaming(FLOOD)
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    sent = server.temp / "sent"
    small = socket.create_connection(
        (server.inference.split("/")[2].split(":")[0], int(server.inference.rpartition(":")[2]))
    )
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    small.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=small, limit=1024)
    writer.write(b"POST /predictions/stream HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx")
    await reader.readuntil(b"\r\n\r\n")

    async def stands_still() -> int:
        latest, since = -1, time.monotonic()
        while time.monotonic() - since < 1:
            now = int(sent.read_text() or 0) if sent.exists() else 0
            if now != latest:
                latest, since = now, time.monotonic()
            assert latest < 2000, "nobody holds the handler back"
            await asyncio.sleep(0.02)
        return latest

    held = await asyncio.wait_for(stands_still(), 30)
    grown = process.memory_info().rss - before
    assert grown < 16 * 1024 * 1024
    await reader.readexactly(4 * 1024 * 1024)
    await becomes(lambda: int(sent.read_text() or 0) > held, "the handler goes on")
    writer.transport.abort()
    await becomes((server.temp / "cancelled").exists, "the handler learns that nobody reads")
    assert (await predict(server.inference, "stream", b"short")).body == b"short"


async def test_a_client_that_goes_away_stops_the_work(
    streaming: Callable[..., LiveServer],
) -> None:
    server = streaming(PATIENT)
    [worker] = pids(server, "stream")
    async with wire(server.inference) as one:
        one.send("POST", "/predictions/stream", b"x")
        await one.head()
        assert await one.chunk() == b"begun"
        await becomes((server.temp / "alive").exists, "the handler works")
        assert not (server.temp / "cancelled").exists()
    waited = await becomes((server.temp / "cancelled").exists, "the handler stops", 5)
    measured(f"told after {waited * 1000:.0f} ms")
    assert pids(server, "stream") == [worker]


async def test_in_a_batch_only_the_ones_who_left_are_cancelled(
    streaming: Callable[..., LiveServer],
) -> None:
    source = PATIENT.replace("all(context", "any(context").replace(
        '["end"] * len(data)', "[str(context.is_cancelled(i)) for i in range(len(data))]"
    )
    source = source.replace(
        'send(["begun"] * len(data), context)',
        'if bytes(data[0]["body"]) == b"first":\n'
        '        wait_for("two wait")\n        return ["first"]\n'
        '    send(["begun"] * len(data), context)',
    )
    server = streaming(source, batch_size=2, max_batch_delay=10000)
    first = asyncio.create_task(predict(server.inference, "stream", b"first"))

    def pending() -> int:
        described = server.client.get(f"{server.management}/models/stream").json()[0]
        return int(described["jobQueueStatus"]["pendingRequests"])

    async with wire(server.inference) as stays:
        async with wire(server.inference) as leaves:
            await asyncio.sleep(0)
            await becomes(lambda: pending() == 0, "the first one runs")
            stays.send("POST", "/predictions/stream", b"x")
            leaves.send("POST", "/predictions/stream", b"x")
            await becomes(lambda: pending() == 2, "two wait")
            (server.temp / "two wait").touch()
            assert (await first).body == b"first"
            await leaves.head()
            assert await leaves.chunk() == b"begun"
        reply = await stays.reply()
    assert reply.body == b"begunFalse"


async def test_an_error_half_way_breaks_the_stream_off_without_its_end(
    streaming: Callable[..., LiveServer],
) -> None:
    server = streaming(RAISING)
    [worker] = pids(server, "stream")
    async with wire(server.inference) as one:
        one.send("POST", "/predictions/stream", b"x")
        status, _ = await one.head()
        assert status == 200
        assert await one.chunk() == b"one"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await asyncio.wait_for(one.chunk(), 5)
    assert pids(server, "stream") == [worker]


async def test_a_worker_that_dies_half_way_breaks_the_stream_off_too(
    streaming: Callable[..., LiveServer],
) -> None:
    server = streaming(PATIENT)
    [worker] = pids(server, "stream")
    async with wire(server.inference) as one:
        one.send("POST", "/predictions/stream", b"x")
        await one.head()
        assert await one.chunk() == b"begun"
        psutil.Process(worker).kill()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await asyncio.wait_for(one.chunk(), 5)
