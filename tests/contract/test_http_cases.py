"""The conformance cases, byte by byte, against a real listener."""

from __future__ import annotations

import json

import pytest
from http_wire import Case, converse, echo_application, load_cases, split_answers, text_of

from flambeau.http.limits import Limits
from flambeau.http.listeners import Address, open_listener

CASES = load_cases()


def names(case: Case) -> str:
    return case.name


async def talk(parts: list[bytes], expected: int) -> tuple[list, str]:
    listener = await open_listener(Address.parse("http://127.0.0.1:0"), echo_application, Limits())
    try:
        received, ending = await converse(listener.port, parts, expected)
    finally:
        listener.close()
        listener.abort()
        await listener.drained()
    return split_answers(received), ending


@pytest.mark.parametrize("case", CASES, ids=names)
async def test_case_is_answered_as_written(case: Case):
    answers, ending = await talk(case.send, len(case.answers))
    assert [answer.status for answer in answers] == case.answers
    assert ending == case.ends
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


async def test_refusals_are_json_and_close():
    answers, _ = await talk([b"hello\r\n\r\n"], 1)
    assert answers[0].header("connection") == "close"
    assert answers[0].header("content-type") == "application/json"
    assert json.loads(answers[0].body)["message"] == "Invalid HTTP message."


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
