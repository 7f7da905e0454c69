"""Random and mutated bytes: the reader never fails in a way of its own, however they are cut."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from time import monotonic

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.http.head import BadMessage, parse
from flambeau.http.limits import Limits
from flambeau.http.reading import Heads, RequestReader

LIMITS = Limits(body=200, discard=1000)
SEEDS = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /p?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nx-a: b c\t\r\n\r\nhello",
    b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0a\r\n0123456789\r\n0\r\nt: v\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: other\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n" + b"x" * 300,
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n"
    + b"y" * 255
    + b"\r\n0\r\n\r\n",
    b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]
BITS = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"-", b"+",
    b"\xff", b"\x0b", b"HTTP/1.1", b"Host: h\r\n", b"Content-Length: 3\r\n", b"chunked",
    b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"ffffffffffffffff", b"GET / HTTP/1.1\r\n",
]  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    data = b"".join(rng.choice(SEEDS) for _ in range(rng.randint(1, 3)))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data = data[:at] + rng.choice(BITS) + data[at:]
            case 1:
                data = data[:at] + data[at + rng.randint(1, 4) :]
            case 2:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 3:
                other = rng.choice(SEEDS)
                data = data[:at] + other[rng.randrange(len(other)) :]
            case _:
                data = data[:at] + data[at : at + 20] + data[at:]
    return data


def outcome(pieces: list[bytes], limits: Limits = LIMITS) -> list:
    """Requests, refusals and the end that a reader makes of the pieces, in order."""
    reader = RequestReader(limits, Heads(limits))
    seen: list = []
    interim: list = []
    try:
        for piece in pieces:
            data = piece
            while True:
                head = reader.feed(data)
                interim, reader.interim = interim + reader.interim, []
                if head is None:
                    break
                body = b"".join(reader.body)
                assert len(body) == reader.body_size
                seen.append((head.method, head.target, head.headers, body))
                data = b""
    except BadMessage as error:
        seen.append(error.why)
        interim += reader.interim
    return [*seen, interim]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(a, len(data)) for a in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes):
    outcome([data])


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 900), max_size=6))
@settings(deadline=None, max_examples=400)
def test_where_bytes_are_cut_makes_no_difference(rng: random.Random, at: list[int]):
    data = mutated(rng)
    assert outcome(cut(data, at)) == outcome([data])


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_single_cut_and_every_byte_alone_read_the_same(seed: int):
    data = SEEDS[seed] + SEEDS[0] + SEEDS[2]
    whole = outcome([data])
    for at in range(len(data)):
        assert outcome([data[:at], data[at:]]) == whole
    assert outcome([data[at : at + 1] for at in range(len(data))]) == whole


class Reference:
    """What llhttp alone makes of the bytes."""

    def __init__(self, data: bytes) -> None:
        self.messages: list[list] = []
        self.error = ""
        self.headers: list = []
        self.url = b""
        self.body = b""
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_keep_alive=True)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            self.error = str(error)

    def on_message_begin(self):
        self.url, self.headers, self.body, self.in_body = b"", [], b"", False

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        if not self.in_body:  # trailers come here too
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self):
        self.in_body = True

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.messages.append([self.url, self.headers, self.body])


def test_no_request_is_seen_where_llhttp_sees_none_or_another():
    rng = random.Random(20_12)
    wide = Limits()
    agreed = refused = 0
    until = monotonic() + 4
    while monotonic() < until:
        data = mutated(rng)
        ours = [seen for seen in outcome([data], wide) if isinstance(seen, tuple)]
        if any(b"upgrade" in name.lower() for _, _, headers, _ in ours for name, _ in headers):
            continue  # llhttp stops reading there
        reference = Reference(data).messages
        if b"expect" in data.lower() or any(
            method not in {b"GET", b"HEAD", b"POST"} for method, _, _, _ in ours
        ):
            continue  # answered without being served, or a method that llhttp does not know
        for got, wanted in zip(ours, reference, strict=False):
            assert list(got[1:]) == wanted, data
        assert len(ours) <= len(reference), data
        agreed += len(ours)
        refused += len(reference) - len(ours)
    assert agreed > 1000
    assert refused > 50


def test_a_head_is_never_accepted_with_two_meanings():
    rng = random.Random(7)
    for _ in range(20_000):
        data = mutated(rng)
        end = data.find(b"\r\n\r\n") + 4
        try:
            head = parse(data[:end] if end > 4 else b"x\r\n\r\n", LIMITS)
        except (BadMessage, ValueError):
            continue
        names = [name.lower() for name, _ in head.headers]
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
        assert names.count(b"host") <= 1
        assert b"\n" not in head.target
        assert not any(set(b"\r\n\0") & set(name + value) for name, value in head.headers)


async def test_a_listener_outlives_every_mutation(serve, answer, caplog):
    failures: list = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    site = await serve(
        lambda exchange: answer(exchange, close=len(exchange.target) % 3 == 0),
        body=200,
        discard=1000,
    )
    rng = random.Random(41)
    until = monotonic() + 4
    rounds = 0

    async def attack() -> None:
        data = mutated(rng)
        pieces = cut(data, [rng.randrange(len(data) + 1) for _ in range(rng.randrange(4))])
        _, writer = await asyncio.open_connection("127.0.0.1", site.listener.port)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        match rng.randrange(3):
            case 0:
                writer.transport.abort()
            case 1:
                writer.write_eof()
                writer.close()
            case _:
                writer.close()

    with caplog.at_level(logging.WARNING):
        while monotonic() < until:
            await asyncio.gather(*(attack() for _ in range(20)))
            rounds += 1
        client = await site.connect()
        await client.send(SEEDS[0])
        assert (await client.answer())[0] == 200
        await client.close()
        await site.settled(0)
    assert rounds > 5
    assert failures == []
    assert caplog.records == []
