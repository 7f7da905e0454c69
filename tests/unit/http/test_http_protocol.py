"""Connections over real sockets: order, back-pressure, clients that leave, dawdle or push."""

from __future__ import annotations

import asyncio

import pytest

from flambeau.http.listeners import Address, open_listener
from flambeau.http.refusal import UNREAD, Why

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
BIG = b"x" * (16 * 1024 * 1024)


async def test_pipelined_requests_wait_for_their_turn(serve, held, answer):
    site = await serve(held)
    client = await site.connect()
    await client.send(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
    first = await held.next()
    assert held.waiting == 0
    answer(first)
    answer(await held.next())
    assert (await client.answer())[2] == b"/1"
    assert (await client.answer())[2] == b"/2"


async def test_a_thousand_pipelined_requests_do_not_recurse(serve, answer):
    site = await serve(answer)
    client = await site.connect()
    await client.send(GET * 3000)
    for _ in range(3000):
        assert (await client.answer())[0] == 200


async def test_a_client_that_pushes_on_while_it_waits_is_not_read_without_bound(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    push = asyncio.ensure_future(client.send(BIG))
    await asyncio.sleep(0.1)
    assert not push.done()
    assert len(exchange._connection.reader.held) < 1024 * 1024
    push.cancel()


async def test_requests_behind_a_full_read_ahead_are_served_later(serve, held, answer):
    site = await serve(held)
    client = await site.connect()
    push = asyncio.ensure_future(client.send(GET * 20_000))
    for _ in range(20_000):
        answer(await held.next())
        assert (await client.answer())[0] == 200
    await push


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_client_that_leaves_is_noticed_once(serve, held, answer, leave):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    told = []
    exchange.on_gone = lambda: told.append(exchange.gone)
    if leave == "close":
        await client.close()
    else:
        client.reset()
    await site.settled(0)
    assert told == [True]
    answer(exchange)  # goes nowhere, and raises nothing
    assert exchange.write(b"x")
    exchange.end()
    assert told == [True]


async def test_an_answered_request_is_never_called_gone(serve, held, answer):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    exchange.on_gone = lambda: pytest.fail("told of an answered request")
    answer(exchange)
    await client.answer()
    await client.close()
    await site.settled(0)
    assert not exchange.gone


async def test_a_failing_on_gone_does_not_harm_the_listener(serve, held, answer, caplog):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    exchange.on_gone = lambda: 1 / 0
    client.reset()
    await site.settled(0)
    assert "telling that a client has gone failed" in caplog.text
    other = await site.connect()
    await other.send(GET)
    answer(await held.next())
    assert (await other.answer())[0] == 200


async def test_an_application_that_raises_gives_500_and_the_connection_ends(serve, caplog):
    def broken(exchange):
        raise ValueError("broken application")

    site = await serve(broken)
    client = await site.connect()
    await client.send(GET)
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (500, "close")
    assert await client.rest() == b""
    assert "broken application" in caplog.text
    (refusal,) = site.refusals
    assert (refusal.why, refusal.asked) == (Why.APPLICATION_FAILED, (b"GET", b"/", "1.1"))


async def test_an_application_that_cannot_spell_a_refusal_ends_the_connection(answer, caplog):
    def refuse(refusal):
        raise ValueError("no words")

    listener = await open_listener(Address.parse("http://127.0.0.1:0"), answer, refuse)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"nonsense\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    assert "no words" in caplog.text
    writer.close()
    listener.close()
    await listener.drained()


async def test_an_application_that_raises_in_mid_stream_cuts_the_stream(serve, caplog):
    def broken(exchange):
        exchange.start(200, "", b"", close=False)
        exchange.write(b"piece")
        raise ValueError("broken application")

    site = await serve(broken)
    client = await site.connect()
    await client.send(GET)
    received = await client.rest()
    assert received.endswith(b"5\r\npiece\r\n")
    assert received.count(b"HTTP/1.1 ") == 1
    assert "broken application" in caplog.text


async def test_a_second_answer_is_an_error_of_the_application(serve, held, answer):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    answer(exchange)
    with pytest.raises(RuntimeError, match="answer already"):
        answer(exchange)
    with pytest.raises(RuntimeError, match="answer already"):
        exchange.start(200, "", b"", close=False)


async def test_a_stream_arrives_as_one_chunk_per_piece(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET + GET)
    exchange = await held.next()
    exchange.start(200, "", b"a: b\r\n", close=False)
    for piece in (b"one", b"", b"x" * 100_000):
        exchange.write(piece)
    exchange.end()
    (await held.next()).respond(200, "", b"", b"", close=True)
    received = await client.rest()
    head, _, body = received.partition(b"\r\n\r\n")
    assert head == (
        b"HTTP/1.1 200 \r\na: b\r\ntransfer-encoding: chunked\r\nconnection: keep-alive"
    )
    chunks = b"3\r\none\r\n186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n"
    assert body.startswith(chunks + b"HTTP/1.1 200 \r\n")


async def test_a_stream_for_http_1_0_ends_with_the_connection(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    exchange = await held.next()
    exchange.start(200, "OK", b"", close=False)
    exchange.write(b"one")
    exchange.write(b"two")
    exchange.end()
    assert await client.rest() == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo"


async def test_an_aborted_stream_has_no_last_chunk(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    exchange.start(200, "", b"", close=False)
    exchange.write(b"one")
    exchange.abort()
    assert (await client.rest()).endswith(b"\r\n\r\n3\r\none\r\n")


async def test_an_aborted_stream_to_http_1_0_is_a_reset_not_an_end(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(b"GET / HTTP/1.0\r\n\r\nmore")
    exchange = await held.next()
    exchange.start(200, "", b"", close=False)
    exchange.write(BIG)
    exchange.abort()
    received = b""
    try:
        received = await client.rest()
    except ConnectionError:
        received = b"reset"
    assert len(received) < len(BIG)


async def test_head_gets_no_stream_body(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    exchange = await held.next()
    exchange.start(200, "", b"", close=True)
    exchange.write(b"one")
    exchange.end()
    assert (await client.rest()).endswith(b"connection: close\r\n\r\n")


async def test_a_slow_reader_stops_the_writer_until_it_reads(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    exchange.start(200, "", b"", close=True)
    while exchange.write(BIG[:1_000_000]):
        pass
    drained = asyncio.ensure_future(exchange.drained())
    await asyncio.sleep(0.05)
    assert not drained.done()
    reading = asyncio.ensure_future(client.rest())
    await asyncio.wait_for(drained, 5)
    exchange.end()
    assert (await reading).endswith(b"\r\n0\r\n\r\n")


async def test_waiting_for_a_slow_reader_ends_when_it_leaves(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    exchange.start(200, "", b"", close=True)
    while exchange.write(BIG[:1_000_000]):
        pass
    drained = asyncio.ensure_future(exchange.drained())
    client.reset()
    await asyncio.wait_for(drained, 5)
    await site.settled(0)
    assert exchange.gone


async def test_requests_wait_while_their_client_does_not_read_its_answers(serve):
    served = []

    def application(exchange):
        served.append(exchange)
        exchange.respond(200, "", b"", BIG, close=False)

    site = await serve(application)
    client = await site.connect()
    await client.send(GET * 5)
    await asyncio.sleep(0.1)
    assert len(served) == 1
    for _ in range(5):
        assert len((await client.answer())[2]) == len(BIG)
    assert len(served) == 5


async def test_one_connection_too_many_gets_503(serve, answer):
    site = await serve(answer, connections=2)
    clients = [await site.connect() for _ in range(2)]
    await site.settled(2)
    third = await site.connect()
    status, headers, _ = await third.answer()
    assert (status, headers["connection"]) == (503, "close")
    (refusal,) = site.refusals
    assert (refusal.why, refusal.asked) == (Why.CROWDED, UNREAD)
    await third.close()
    await clients[0].close()
    await site.settled(1)
    fourth = await site.connect()
    await fourth.send(GET)
    assert (await fourth.answer())[0] == 200


async def test_an_answer_survives_bytes_that_nobody_reads(serve, answer):
    """Closing at once would reset the connection and could lose the answer."""
    site = await serve(lambda exchange: answer(exchange, b"no" * 1000, 404, close=True))
    for _ in range(20):
        client = await site.connect()
        await client.send(GET)
        await client.send(BIG[:200_000])
        await asyncio.sleep(0)
        status, _, body = await client.answer()
        assert (status, len(body)) == (404, 2000)
        assert await client.rest() == b""
        await client.close()


async def test_equal_heads_share_what_the_application_noted(serve, answer):
    notes = []

    def application(exchange):
        notes.append(exchange.head.memo)
        exchange.head.memo = "noted"
        answer(exchange)

    site = await serve(application)
    client = await site.connect()
    for target in (b"/1", b"/1", b"/1", b"/2"):
        await client.send(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await client.answer())[2] == target
    assert notes == [None, None, "noted", None]  # a head is kept when it comes the second time


async def test_phrases_cannot_split_an_answer(serve, held):
    site = await serve(held)
    client = await site.connect()
    await client.send(GET)
    (await held.next()).respond(299, "a\r\nb: c\u20ac", b"", b"", close=True)
    assert (await client.rest()).startswith(b"HTTP/1.1 299 a  b: c?\r\ncontent-length: 0\r\n")
