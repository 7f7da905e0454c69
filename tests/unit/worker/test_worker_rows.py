from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.transport.messages import NO_HEADERS, JobHead, PartHead
from flambeau.worker.rows import decode_json, decode_text, decoded_rows, media_type, raw_rows

ODD_JSON = [
    b"NaN",
    b"[Infinity, -Infinity]",
    b"1e400",
    b"-0",
    b"-0.0",
    b"123456789012345678901234567890",
    b"18446744073709551616",
    b'"\\ud800"',
    b'{"a": 1, "b": 2, "a": 3}',
    b" \n 1 \t",
    b'"\x7f"',
    b"1E5",
    b"0.30000000000000004",
]
NO_JSON = [b"", b"{", b"[1,]", b"01", b"1.", b'"\x01"', b"\xef\xbb\xbf1", b'"\xff"', b"nan"]


def same(left, right):
    """Equal in value, type and, for NaN and minus zero, in kind."""
    return repr(left) == repr(right)


@pytest.mark.parametrize("text", ODD_JSON)
def test_odd_json_gives_what_json_loads_gives(text):
    assert same(decode_json(bytearray(text)), json.loads(text.decode()))


@pytest.mark.parametrize("text", NO_JSON)
def test_what_is_no_json_stays_the_bytearray_it_was(text, caplog):
    body = bytearray(text)
    assert decode_json(body) is body
    assert "not valid JSON" in caplog.text


def test_endless_nesting_stays_bytes_and_does_not_end_the_worker():
    body = bytearray(b"[" * 1_000_000)
    assert decode_json(body) is body


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_gives_what_json_loads_gives(value):
    text = json.dumps(value)
    assert same(decode_json(bytearray(text.encode())), json.loads(text))


@given(st.binary(max_size=64) | st.text('[]{}",:0123456789.eE+-truefalsn \\u', max_size=24))
def test_any_bytes_give_what_json_loads_gives(made):
    body = bytearray(made if isinstance(made, bytes) else made.encode())
    try:
        expected = json.loads(body.decode())
    except (ValueError, RecursionError):
        assert decode_json(body) is body
    else:
        assert same(decode_json(body), expected)


def test_text_is_utf8_and_anything_else_stays_bytes():
    assert decode_text(bytearray("grüße".encode())) == "grüße"
    body = bytearray(b"\xff\xfe")
    assert decode_text(body) is body


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", {"a": 1}),
        ("application/json; charset=utf-8", {"a": 1}),
        ("text/plain", '{"a": 1}'),
        ("text/csv;header=present", '{"a": 1}'),
        ("", bytearray(b'{"a": 1}')),
        ("Application/JSON", bytearray(b'{"a": 1}')),
        ("application/octet-stream", bytearray(b'{"a": 1}')),
    ],
)
def test_the_content_type_decides_what_a_value_becomes(content_type, expected):
    body = bytearray(b'{"a": 1}')
    jobs = [JobHead(1, "r", NO_HEADERS, [PartHead("body", content_type, len(body))])]
    (row,) = decoded_rows(jobs, [body])
    assert row == {"body": expected}
    assert type(row["body"]) is type(expected)


def test_parts_are_dealt_out_to_their_jobs_and_the_last_of_a_name_wins():
    jobs = [
        JobHead(1, "r", NO_HEADERS, [PartHead("a", "", 1), PartHead("a", "", 1)]),
        JobHead(2, "r", NO_HEADERS, []),
        JobHead(3, "r", NO_HEADERS, [PartHead("b", "", 1)]),
    ]
    bodies = [bytearray(b"1"), bytearray(b"2"), bytearray(b"3")]
    for rows in (raw_rows(jobs, bodies), decoded_rows(jobs, bodies)):
        assert rows == [{"a": b"2"}, {}, {"b": b"3"}]


def test_raw_rows_decode_nothing():
    jobs = [JobHead(1, "r", NO_HEADERS, [PartHead("body", "application/json", 1)])]
    assert raw_rows(jobs, [bytearray(b"1")]) == [{"body": bytearray(b"1")}]


def test_parameters_of_a_content_type_are_cut_off():
    assert media_type("text/plain ; charset=utf-8") == "text/plain"


def test_a_nan_is_a_nan():
    assert math.isnan(decode_json(bytearray(b"NaN")))
