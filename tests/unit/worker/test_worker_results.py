from __future__ import annotations

import enum
import json
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.errors import Failure
from flambeau.transport.messages import NO_HEADERS, JobHead
from flambeau.worker.context import RequestProcessor
from flambeau.worker.results import UnsupportedOutput, shaped_heads, to_bytes

JOB = JobHead(7, "r", NO_HEADERS, [])


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("grün", "grün".encode()),
        (Text("sub"), b"sub"),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"abc"), b"abc"),
        (7, b"7"),
        (0.1, b"0.1"),
        (True, b"true"),
        (None, b"null"),
        ([], b"[]"),
        ({}, b"{}"),
        ({"x": float("nan")}, b'{\n  "x": NaN\n}'),
        (
            {"ä": [1, {"b": None}]},
            b'{\n  "\\u00e4": [\n    1,\n    {\n      "b": null\n    }\n  ]\n}',
        ),
        ((1, 2), b"[\n  1,\n  2\n]"),
        ({1: 2, None: 3, False: 4}, json.dumps({1: 2, None: 3, False: 4}, indent=2).encode()),
        (Colour.RED, b"1"),
        ([10**40, -(10**40)], json.dumps([10**40, -(10**40)], indent=2).encode()),
    ],
)
def test_each_kind_of_value_has_its_wire_form(value, expected):
    assert bytes(to_bytes(value)) == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.floats(), inner)
        ),
    ).filter(lambda value: not isinstance(value, str))
)
def test_json_is_laid_out_exactly_as_json_dumps_with_two_spaces(value):
    assert to_bytes(value) == json.dumps(value, indent=2).encode()


def circular():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, {"a": b"bytes"}, {(1, 2): 3}, circular(), "\ud800", 1j]
)
def test_values_without_a_wire_form_are_refused(value):
    with pytest.raises(UnsupportedOutput):
        to_bytes(value)


def test_a_tensor_is_saved_by_torch_only_if_torch_is_there(monkeypatch):
    class Tensor:
        pass

    with pytest.raises(UnsupportedOutput):
        to_bytes(Tensor())
    torch = types.ModuleType("torch")
    torch.Tensor = Tensor
    torch.save = lambda tensor, file: file.write(b"saved")
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert to_bytes(Tensor()) == b"saved"


def shaped(status=200, phrase=None, headers=None):
    processor = RequestProcessor({})
    processor.report_status(status, phrase)
    for name, value in (headers or {}).items():
        processor.add_response_property(name, value)
    blobs = [b"body"]
    (head,) = shaped_heads([JOB], blobs, [processor])
    return head, blobs[0]


def test_status_phrase_and_headers_are_carried():
    head, body = shaped(201, "Made", {"X-Mine": "1", "content-type": "text/plain"})
    assert (head.id, head.status, head.phrase, head.size) == (7, 201, "Made", 4)
    assert head.headers == [("X-Mine", "1"), ("content-type", "text/plain")]
    assert body == b"body"
    assert not head.failure


@pytest.mark.parametrize("status", [0, 99, 600, 700, -1, "200", None, 10**9])
def test_a_status_http_does_not_have_becomes_an_error(status):
    head, body = shaped(status)
    assert head.failure == Failure.INTERNAL
    assert b"100..599" in body
    assert head.size == len(body)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "\ud800"])
def test_a_header_or_phrase_that_would_break_the_wire_is_dropped(value, caplog):
    head, _ = shaped(200, value, {"x-mine": value, value: "x", "x-good": "yes"})
    assert head.headers == [("x-good", "yes")]
    assert head.phrase == ""
    assert "dropped" in caplog.text


def test_header_values_that_are_no_strings_are_spelled():
    head, _ = shaped(headers={"x-count": 3})
    assert head.headers == [("x-count", "3")]
