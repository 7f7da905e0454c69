"""What the reader keeps, and for how long."""

from __future__ import annotations

import pytest

from flambeau.http.head import BadMessage
from flambeau.http.limits import Limits
from flambeau.http.reading import CONTINUE, Heads, Refused, RequestReader
from flambeau.http.refusal import RequestLine, Why

ASKED = RequestLine(b"POST", b"/", "1.1")


def reader(**limits) -> RequestReader:
    bounds = Limits(**limits)
    return RequestReader(bounds, Heads(bounds))


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n\r\n" + body


def test_body_pieces_are_kept_as_they_came():
    reading = reader()
    assert reading.feed(post(b"Content-Length: 30000", b"a" * 10_000)) is None
    assert reading.feed(b"b" * 10_000) is None
    assert reading.feed(b"c" * 10_000) is not None
    assert [len(piece) for piece in reading.body] == [10_000] * 3


def test_tiny_pieces_are_gathered():
    reading = reader()
    reading.feed(post(b"Content-Length: 100000"))
    for _ in range(99_999):
        reading.feed(b"x")
    assert reading.feed(b"y") is not None
    assert len(reading.body) < 100
    assert b"".join(reading.body) == b"x" * 99_999 + b"y"


def test_tiny_chunks_of_one_read_are_one_piece():
    reading = reader()
    body = b"1\r\na\r\n" * 1000 + b"0\r\n\r\n"
    assert reading.feed(post(b"Transfer-Encoding: chunked", body)) is not None
    assert reading.body == [b"a" * 1000]


def test_a_body_of_exactly_the_limit_is_wanted():
    reading = reader(body=10)
    assert reading.feed(post(b"Content-Length: 10", b"x" * 10)) is not None
    chunked = post(b"Transfer-Encoding: chunked", b"a\r\n" + b"x" * 10 + b"\r\n0\r\n\r\n")
    assert reading.feed(chunked) is not None
    assert reading.interim == []


def test_a_refused_body_is_dropped_as_it_comes():
    reading = reader(body=10, discard=1000)
    assert reading.feed(post(b"Content-Length: 1000", b"x" * 500)) is None
    assert reading.interim == [Refused(Why.TOO_LARGE, ASKED, last=False)]
    assert reading.refused
    assert reading.body == []
    assert reading.feed(b"x" * 500) is None
    assert not reading.begun


def test_a_chunked_body_without_end_ends_the_connection_silently_once_refused():
    reading = reader(body=10, discard=1000)
    reading.feed(post(b"Transfer-Encoding: chunked", b"fffff\r\n" + b"x" * 20))
    assert reading.interim == [Refused(Why.TOO_LARGE, ASKED, last=True)]
    with pytest.raises(BadMessage) as caught:
        reading.feed(b"x" * 1000)
    assert caught.value.why is None


def test_a_limit_above_the_discard_limit_is_honoured():
    reading = reader(body=5000, discard=100)
    assert reading.feed(post(b"Content-Length: 5000", b"x" * 5000)) is not None
    chunked = post(b"Transfer-Encoding: chunked", b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n")
    assert reading.feed(chunked) is not None


def test_the_client_is_told_once_to_go_on():
    reading = reader()
    assert reading.feed(post(b"Content-Length: 2\r\nExpect: 100-continue")) is None
    assert reading.interim == [CONTINUE]
    reading.interim = []
    assert reading.feed(b"a") is None
    assert reading.feed(b"b") is not None
    assert reading.interim == []


def test_what_came_too_early_is_read_next():
    reading = reader()
    reading.hold(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 ")
    first = reading.feed(b"")
    assert first is not None
    assert first.target == b"/1"
    assert reading.feed(b"") is None
    second = reading.feed(b"HTTP/1.1\r\nHost: h\r\n\r\n")
    assert second is not None
    assert second.target == b"/2"
    assert not reading.begun


def test_heads_are_remembered_from_the_second_time_on_and_within_bounds():
    heads = Heads(Limits())
    raw = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    heads.parsed(raw)
    assert heads.known == {}
    heads.parsed(raw)
    assert heads.known[raw].target == b"/"
    for number in range(3000):
        for _ in range(2):
            heads.parsed(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
    assert len(heads.known) <= 256
    assert len(heads._glimpsed) <= 256


def test_a_long_head_is_not_remembered():
    heads = Heads(Limits())
    raw = b"GET / HTTP/1.1\r\nHost: h\r\na: " + b"x" * 3000 + b"\r\n\r\n"
    for _ in range(3):
        heads.parsed(raw)
    assert heads.known == {}
