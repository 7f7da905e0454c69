from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.tensors.asked import Asked, asked_in, id_in, split
from flambeau.tensors.datatypes import TensorError, packed
from flambeau.tensors.json_text import flat, read, written


def body_of(document, *raws):
    head = json.dumps(document).encode()
    return head + b"".join(raws), str(len(head))


def tensor(name, datatype, values, **more):
    raw = packed(datatype, values)
    return {
        "name": name,
        "shape": [len(values)],
        "datatype": datatype,
        "parameters": {"binary_data_size": len(raw)} | more,
    }, raw


@pytest.mark.parametrize(
    ("document", "asked"),
    [
        ({"inputs": []}, None),
        ({"inputs": [], "id": "7", "parameters": {"k": 1}}, None),
        ({"outputs": "mine"}, None),
        ({"outputs": [{"name": "y"}]}, None),
        ([{"outputs": []}], None),
        ({"inputs": [], "outputs": [{"name": "y"}]}, Asked("", {"y": None})),
        (
            {
                "id": "a",
                "inputs": [],
                "outputs": [
                    {"name": "y", "parameters": {"binary_data": True}},
                    {"name": "z", "parameters": {"binary_data": False}},
                ],
            },
            Asked("a", {"y": True, "z": False}),
        ),
        (
            {"id": 5, "inputs": [], "parameters": {"binary_data_output": True}},
            Asked("5", None, binary=True),
        ),
        (
            {"inputs": [], "outputs": [], "parameters": {"binary_data_output": False}},
            Asked("", None),
        ),
    ],
)
def test_a_json_request_asks_for_what_it_names(document, asked):
    assert asked_in(json.dumps(document).encode()) == asked


def test_text_that_is_no_json_asks_for_nothing():
    assert asked_in(b'{"outputs" ') is None
    assert asked_in(b"\xff\xfe") is None
    assert id_in(b"{") == ""
    assert id_in(b'{"id": "i", "inputs": []}') == "i"


def test_an_output_comes_as_bytes_when_it_or_else_the_request_says_so():
    asked = Asked("", {"a": None, "b": False, "c": True}, binary=True)
    assert [asked.as_bytes(name) for name in "abcd"] == [True, False, True, True]


def test_binary_tensors_become_the_values_that_json_would_carry():
    numbers, raw_numbers = tensor("n", "FP32", [1.5, -2.0], scale=3)
    texts, raw_texts = tensor("t", "BYTES", [b"\xff", b"ab"])
    spoken = {"name": "j", "shape": [1], "datatype": "INT8", "data": [5]}
    document = {
        "id": "1",
        "inputs": [numbers, spoken, texts],
        "outputs": [{"name": "y", "parameters": {"binary_data": True, "k": 1}}],
        "parameters": {"binary_data_output": True},
    }
    text, asked = split(*body_of(document, raw_numbers, raw_texts), "m")
    assert json.loads(text) == {
        "id": "1",
        "model_name": "m",
        "inputs": [
            {
                "name": "n",
                "shape": [2],
                "datatype": "FP32",
                "parameters": {"scale": 3},
                "data": [1.5, -2.0],
            },
            spoken,
            {"name": "t", "shape": [2], "datatype": "BYTES", "data": ["/w==", "YWI="]},
        ],
        "outputs": [{"name": "y", "parameters": {"k": 1}}],
    }
    assert asked == Asked("1", {"y": True}, binary=True)


def test_numbers_that_json_has_no_word_for_reach_the_handler():
    numbers, raw = tensor("n", "FP64", [math.nan, math.inf, -math.inf])
    text, _ = split(*body_of({"inputs": [numbers]}, raw), "m")
    found = json.loads(text)["inputs"][0]["data"]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


NUMBERS, RAW = tensor("n", "INT32", [1, 2])


@pytest.mark.parametrize(
    ("document", "raws", "problem"),
    [
        ({"inputs": [NUMBERS]}, [RAW[:-1]], "'n' has binary_data_size 8, but 7 bytes are left"),
        ({"inputs": [NUMBERS]}, [RAW, b"xy"], "2 bytes of the body belong to no input"),
        (
            {"inputs": [NUMBERS | {"shape": [3]}]},
            [RAW],
            r"input 'n': 8 bytes cannot have the shape",
        ),
        ({"inputs": [NUMBERS | {"shape": "x"}]}, [RAW], r"input 'n': shape 'x' is no list"),
        ({"inputs": [NUMBERS | {"datatype": "INT"}]}, [RAW], r"input 'n': datatype 'INT'"),
        ({"inputs": [NUMBERS | {"parameters": {"binary_data_size": -1}}]}, [], "size -1"),
        ({"inputs": [NUMBERS | {"parameters": {"binary_data_size": "8"}}]}, [RAW], "size '8'"),
        ({"inputs": ["n"]}, [RAW], "'n' is no JSON object"),
        ({"inputs": {}}, [RAW], "cannot be read"),
        ({"input": []}, [RAW], "cannot be read"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(document, raws, problem):
    with pytest.raises(TensorError, match=problem):
        split(*body_of(document, *raws), "m")


@pytest.mark.parametrize("length", ["", "-1", "x", "99999", "1e1", "²", "9" * 5000])
def test_a_wrong_length_is_refused(length):
    with pytest.raises(TensorError, match="the body has 15 bytes"):
        split(b'{"inputs": [] }', length, "m")


def test_a_length_within_the_json_is_refused():
    with pytest.raises(TensorError, match="cannot be read"):
        split(b'{"inputs": [] }', "5", "m")


@pytest.mark.parametrize(
    ("nested", "values"),
    [
        ([], []),
        (5, [5]),
        ([[]], []),
        ([1, 2], [1, 2]),
        ([[1, 2], [3]], [1, 2, 3]),
        ([1, [2, [3]]], [1, 2, 3]),
        ([[[1]], 2], [1, 2]),
    ],
)
def test_nested_lists_are_laid_flat(nested, values):
    assert flat(nested) == values


def test_nesting_without_end_is_a_value_error():
    with pytest.raises(ValueError, match=r"nested too deeply|recursion"):
        read(b"[" * 100_000)


def test_a_null_stays_a_null():
    assert written({"a": None, "b": "ü"}) == b'{"a": null, "b": "\\u00fc"}'


def test_what_only_python_writes_survives():
    document = {"a": "\ud800", "b": 2**70}
    assert read(written(document)) == document


HOSTILE = [
    b'{"outputs": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b', "outputs": []}',
    b'{"inputs": [], "outputs": [{"name": "\\ud800"}]}',
    b'{"inputs": [{"name": "x", "shape": [' + b"9" * 4000 + b'], "datatype": "INT8"}]}',
    b'{"inputs": [{"shape": ' + str([10**18] * 300).encode() + b', "datatype": "INT8", '
    b'"parameters": {"binary_data_size": 0}}]}',
    b'{"inputs": [], "big": ' + b"9" * 5000 + b"}",
    b'{"inputs": [null], "outputs": [null]}',
]


@pytest.mark.parametrize("body", HOSTILE)
def test_hostile_documents_are_refused_or_passed_on(body):
    asked_in(body)
    id_in(body)
    with contextlib.suppress(TensorError):
        split(body, str(len(body)), "m")


@pytest.mark.parametrize("shape", [[10**18] * 300, [int("9" * 4000)], "x" * 5000])
def test_messages_stay_short_whatever_they_quote(shape):
    numbers = NUMBERS | {"shape": shape}
    with pytest.raises(TensorError, match="input 'n': ") as caught:
        split(*body_of({"inputs": [numbers]}, RAW), "m")
    assert len(str(caught.value)) < 300


SIZES = ("binary_data_size", "binary_data", "binary_data_output")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "shape", "datatype", "data", "parameters", "inputs", "outputs", *SIZES]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(document=VALUES, rest=st.binary(max_size=16))
def test_any_document_is_read_or_refused(document, rest):
    head = json.dumps(document).encode()
    asked_in(head)
    with contextlib.suppress(TensorError):
        text, _ = split(head + rest, str(len(head)), "m")
        json.loads(text)
