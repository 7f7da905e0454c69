from __future__ import annotations

import asyncio
import logging
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flambeau.errors import WorkerDied
from flambeau.supervision.channel import Channel, connect
from flambeau.transport import frames
from flambeau.transport.messages import (
    Failed,
    Kind,
    Loaded,
    Ping,
    Pong,
    Replies,
    ReplyHead,
    Stop,
)

pytestmark = pytest.mark.usefixtures("loud_loop")


@pytest.fixture
async def pair():
    """A channel and the worker's end of its socket."""
    ours, theirs = socket.socketpair()
    channel = await connect(ours)
    theirs.setblocking(False)
    yield channel, theirs
    theirs.close()
    channel.close()
    await channel.ended


async def sent(theirs: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(theirs, data)


def reply(number: int, body: bytes) -> bytes:
    return frames.frame(Replies([ReplyHead(number, 200, "", [], len(body))]), [body])


async def test_a_question_is_answered(pair):
    channel, theirs = pair
    asked = asyncio.ensure_future(channel.ask(Ping(), Kind.PONG))
    data = await asyncio.get_running_loop().sock_recv(theirs, 100)
    assert data == frames.frame(Ping())
    await sent(theirs, frames.frame(Pong()))
    assert await asked == Pong()


@pytest.mark.parametrize("answer", [Loaded(), Failed("why", "where")])
async def test_one_of_several_kinds_answers(pair, answer):
    channel, theirs = pair
    asked = asyncio.ensure_future(channel.ask(Stop(), Kind.LOADED, Kind.FAILED))
    await asyncio.sleep(0)
    await sent(theirs, frames.frame(answer))
    assert await asked == answer


async def test_answers_nobody_asked_for_are_dropped(pair):
    channel, theirs = pair
    await sent(theirs, frames.frame(Pong()) + reply(1, b"a"))
    await asyncio.sleep(0.01)
    asked = asyncio.ensure_future(channel.ask(Ping(), Kind.PONG))
    await asyncio.sleep(0.01)
    await sent(theirs, frames.frame(Pong()) * 2)
    assert await asked == Pong()


async def test_the_end_of_the_socket_ends_the_question_and_the_next(pair):
    channel, theirs = pair
    asked = asyncio.ensure_future(channel.ask(Ping(), Kind.PONG))
    await asyncio.sleep(0)
    theirs.close()
    with pytest.raises(WorkerDied):
        await asked
    await channel.ended
    with pytest.raises(WorkerDied):
        await channel.ask(Ping(), Kind.PONG)
    channel.send(Stop(), [b"to nobody"])
    channel.pause()
    channel.resume()


async def test_a_cancelled_question_leaves_nothing(pair):
    channel, _ = pair
    asked = asyncio.ensure_future(channel.ask(Ping(), Kind.PONG))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait({asked})
    assert not channel._questions


async def test_a_message_with_blobs_is_sent_whole(pair):
    channel, theirs = pair
    channel.send(Stop(), [b"ab", b"c"])
    data = await asyncio.get_running_loop().sock_recv(theirs, 100)
    assert data == frames.frame(Stop(), [b"abc"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=300), max_size=6), st.data())
def test_frames_are_found_however_the_bytes_are_cut(bodies, data):
    whole = b"".join(reply(number, body) for number, body in enumerate(bodies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))

    async def deliver() -> list[tuple[int, bytes]]:
        channel = Channel()
        got: list[tuple[int, bytes]] = []
        channel.on_replies = lambda replies, blobs: got.extend(
            (head.id, bytes(blob)) for head, blob in zip(replies.replies, blobs, strict=True)
        )
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            if start != end:
                channel.data_received(whole[start:end])
        return got

    assert asyncio.run(deliver()) == list(enumerate(bodies))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 64,
        frames.HEADER.pack(Kind.REPLIES, 3, 0) + b"\xc1\xc1\xc1",
        frames.HEADER.pack(Kind.FAILED, 5, 0) + b"\x92\xa2\xff\xfe\xa0",
        frames.HEADER.pack(Kind.STOP, frames.MAX_METADATA + 1, 0),
        frames.frame(Replies([ReplyHead(1, 200, "", [], 9)]), [b"short"]),
        frames.frame(Replies([ReplyHead(1, 200, "", [], 2)]), [b"too long"]),
    ],
    ids=["noise", "metadata", "text", "size", "less than said", "more than said"],
)
async def test_garbage_ends_the_channel_and_nothing_else(pair, garbage, caplog):
    channel, theirs = pair
    got: list[bytes] = []
    channel.on_replies = lambda _, blobs: got.extend(blobs)
    await sent(theirs, reply(1, b"good") + garbage + reply(2, b"never"))
    await asyncio.wait_for(channel.ended, 3)
    assert got == [b"good"]
    assert "no frame" in caplog.text


async def test_a_failing_callback_never_closes_the_channel(pair, caplog):
    channel, theirs = pair
    got: list[bytes] = []

    def fail_once(_, blobs):
        got.extend(blobs)
        if len(got) == 1:
            raise RuntimeError("no")

    channel.on_replies = fail_once
    await sent(theirs, reply(1, b"a") + reply(2, b"b"))
    await asyncio.sleep(0.05)
    assert got == [b"a", b"b"]
    assert not channel.ended.done()
    assert "could not be delivered" in caplog.text
    caplog.set_level(logging.INFO)


async def test_paused_nothing_is_read_until_resumed(pair):
    channel, theirs = pair
    got: list[bytes] = []
    channel.on_replies = lambda _, blobs: got.extend(blobs)
    channel.pause()
    await sent(theirs, reply(1, b"a"))
    await asyncio.sleep(0.05)
    assert got == []
    channel.resume()
    await asyncio.sleep(0.05)
    assert got == [b"a"]


async def test_large_bodies_are_joined_once(pair):
    channel, theirs = pair
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    channel.on_replies = lambda _, blobs: got.set_result(blobs[0])
    body = bytes(range(256)) * 40_000
    await sent(theirs, reply(1, body))
    assert await asyncio.wait_for(got, 5) == body


async def test_a_connection_cancelled_midway_is_closed():
    ours, theirs = socket.socketpair()
    connecting = asyncio.ensure_future(connect(ours))
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    with theirs:
        theirs.settimeout(3)
        assert theirs.recv(1) == b""
