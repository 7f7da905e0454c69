"""The sweep: clients that dawdle are ended, those that make progress or compute are not."""

from __future__ import annotations

import asyncio

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
BIG = b"x" * (16 * 1024 * 1024)


async def test_a_reader_without_any_progress_is_cut_off(serve):
    site = await serve(lambda exchange: exchange.respond(200, "", b"", BIG, close=False))
    client = await site.connect()
    await client.send(GET)
    await asyncio.sleep(0.1)
    site.sweep(0)
    site.sweep(59)
    assert site.listener.connections == 1
    site.sweep(61)
    await site.settled(0)


async def test_a_slow_reader_with_progress_is_served(serve):
    site = await serve(lambda exchange: exchange.respond(200, "", b"", BIG, close=False))
    client = await site.connect()
    await client.send(GET)
    for minute in range(8):
        await asyncio.sleep(0.02)
        site.sweep(minute * 50)
        await client.reader.readexactly(1_500_000)
    site.sweep(400)
    assert site.listener.connections == 1


async def test_idle_connections_are_closed_by_the_sweep(serve, answer):
    site = await serve(answer, idle_timeout=10)
    client = await site.connect()
    await client.send(GET)
    await client.answer()
    site.sweep(9)
    assert site.listener.connections == 1
    site.sweep(11)
    assert await client.rest() == b""


async def test_a_long_computation_is_not_idle(serve, held, answer):
    site = await serve(held, idle_timeout=10, header_timeout=5, body_timeout=5)
    client = await site.connect()
    await client.send(GET)
    exchange = await held.next()
    site.sweep(1000)
    answer(exchange)
    assert (await client.answer())[0] == 200


async def test_the_sweep_runs_by_itself(serve, answer):
    site = await serve(answer, idle_timeout=0.5)
    client = await site.connect()
    assert await client.rest() == b""


async def test_the_sweep_reaches_every_one_of_many_connections(serve, answer):
    site = await serve(answer, idle_timeout=0.5)
    clients = [await site.connect() for _ in range(150)]
    assert [await client.rest() for client in clients] == [b""] * 150
    await site.settled(0)
    late = await site.connect()
    assert await late.rest() == b""


async def test_a_slow_head_gets_408(serve, answer):
    site = await serve(answer, header_timeout=5)
    client = await site.connect()
    await client.send(b"GET / HTT")
    await site.begun()
    await client.send(b"P/1.1\r\nHost")
    site.sweep(4)
    assert site.listener.connections == 1
    site.sweep(6)
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert await client.rest() == b""


async def test_a_body_that_stops_coming_gets_408(serve, answer):
    site = await serve(answer, body_timeout=5)
    client = await site.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
    await site.begun()
    site.sweep(4)
    assert site.listener.connections == 1
    site.sweep(6)
    assert (await client.answer())[0] == 408


async def test_a_body_that_trickles_gets_408_in_the_end(serve, answer):
    site = await serve(answer, body_timeout=5, body_rate=1000)
    client = await site.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + b"x" * 3000)
    await site.begun()
    (connection,) = site.listener._reception._connections
    connection._latest += 7  # as if bytes had come a moment before each sweep
    site.sweep(7)
    assert site.listener.connections == 1
    connection._latest += 2
    site.sweep(9)
    assert (await client.answer())[0] == 408


async def test_a_refused_body_that_stops_coming_is_not_answered_twice(serve, answer):
    site = await serve(answer, body_timeout=5)
    client = await site.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7000000\r\n\r\nabc")
    assert (await client.answer())[0] == 413
    site.sweep(6)
    assert await client.rest() == b""


async def test_a_client_that_stays_after_a_closing_answer_is_put_out(serve, answer):
    site = await serve(lambda exchange: answer(exchange, close=True), linger_timeout=5)
    client = await site.connect()
    await client.send(GET)
    await client.answer()
    site.sweep(4)
    assert site.listener.connections == 1
    site.sweep(6)
    await site.settled(0)
