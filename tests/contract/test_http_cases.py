"""The conformance cases, byte by byte, against a real listener."""

from __future__ import annotations

import json
from time import monotonic

import pytest
from http_wire import (
    STATUS,
    Case,
    Refusals,
    converse,
    echo_application,
    load_cases,
    split_answers,
    text_of,
)

from flambeau.http.listeners import Address, open_listener
from flambeau.http.refusal import UNREAD, Why

CASES = load_cases()


def names(case: Case) -> str:
    return case.name


async def talk(
    parts: list[bytes], expected: int, refusals: Refusals | None = None
) -> tuple[list, str]:
    listener = await open_listener(
        Address.parse("http://127.0.0.1:0"),
        echo_application,
        Refusals() if refusals is None else refusals,
    )
    try:
        received, ending = await converse(listener.port, parts, expected)
    finally:
        listener.close()
        listener.abort()
        await listener.drained()
    return split_answers(received), ending


@pytest.mark.parametrize("case", CASES, ids=names)
async def test_case_is_answered_as_written(case: Case):
    refusals = Refusals()
    answers, ending = await talk(case.send, len(case.answers), refusals)
    assert [answer.status for answer in answers] == case.answers
    assert ending == case.ends
    assert [STATUS[refusal.why] for refusal in refusals] == [
        status for status in case.answers if status in STATUS.values()
    ]
    if case.echo is not None:
        seen = [json.loads(answer.body) for answer in answers if answer.status == 200]
        assert len(seen) == len(case.echo)
        for got, wanted in zip(seen, case.echo, strict=True):
            for key, value in wanted.items():
                if key == "headers":
                    assert got[key] == value
                else:
                    assert got[key] == text_of(value)


@pytest.mark.parametrize("case", [c for c in CASES if sum(map(len, c.send)) < 600], ids=names)
async def test_case_is_answered_the_same_when_it_comes_byte_by_byte(case: Case):
    whole = b"".join(case.send)
    answers, ending = await talk(
        [whole[at : at + 1] for at in range(len(whole))], len(case.answers)
    )
    assert [answer.status for answer in answers] == case.answers
    assert ending == case.ends


@pytest.mark.parametrize(
    ("sent", "why", "asked"),
    [
        (b"hello\r\n\r\n", Why.MALFORMED, UNREAD),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", Why.NO_HOST, (b"GET", b"/", "1.1")),
        (b"GET /a HTTP/1.1\r\nHost: h\r\n b: c\r\n\r\n", Why.MALFORMED, (b"GET", b"/a", "1.1")),
        (b"GET /a HTTP/2.0\r\n\r\n", Why.OTHER_VERSION, (b"GET", b"/a", "2.0")),
        (b"GET /%b HTTP/1.1\r\n" % (b"a" * 5000), Why.MALFORMED, UNREAD),
        (b"GET /a HTTP/1.1\r\nb: %b" % (b"c" * 9000), Why.MALFORMED, (b"GET", b"/a", "1.1")),
        (
            b"PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
            Why.MALFORMED,
            (b"PUT", b"/b", "1.1"),
        ),
        (
            b"PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 7000000\r\n\r\n",
            Why.TOO_LARGE,
            (b"PUT", b"/b", "1.1"),
        ),
        (
            b"PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 700000000\r\n\r\n",
            Why.TOO_LARGE,
            (b"PUT", b"/b", "1.1"),
        ),
        (
            b"PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: more\r\n\r\n",
            Why.EXPECTATION,
            (b"PUT", b"/b", "1.1"),
        ),
    ],
)
async def test_a_refusal_tells_once_what_is_known_of_the_request(sent, why, asked):
    refusals = Refusals()
    await talk([sent], 1, refusals)
    (refusal,) = refusals
    assert (refusal.why, refusal.asked) == (why, asked)
    assert refusal.peer.startswith("/127.0.0.1:")
    assert 0 <= monotonic() - refusal.received < 60


@pytest.mark.parametrize("status", ["204", "304"])
async def test_statuses_without_a_body_carry_no_length(status: str):
    answers, _ = await talk([f"GET /{status} HTTP/1.1\r\nHost: h\r\n\r\n".encode()], 1)
    assert answers[0].header("content-length") is None
    assert answers[0].header("connection") == "keep-alive"


async def test_head_announces_the_length_of_the_body_it_leaves_out():
    get, _ = await talk([b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"], 1)
    head, _ = await talk([b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"], 1)
    assert head[0].body == b""
    assert int(head[0].header("content-length")) == len(get[0].body) + len("HEAD") - len("GET")


async def test_413_has_only_a_length():
    answers, _ = await talk(
        [b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7000000\r\nExpect: 100-continue\r\n\r\n"],
        1,
    )
    assert answers[0].headers == [("content-length", "0")]
