from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.tensors.answers import Answered, AnswerError, NoSuchOutput, Output
from flambeau.tensors.asked import Asked
from flambeau.tensors.datatypes import DATATYPES
from flambeau.tensors.packing import body_of

WHO = Answered("model", "1.0", "request")
ALL = Asked()


def response(value, asked=ALL):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return WHO.response(body, asked)


def shown(value, asked=ALL):
    """Datatype, shape and values of the only output."""
    (output,) = response(value, asked).outputs
    return output.datatype, output.shape, output.values


def test_a_response_keeps_what_the_handler_says():
    found = response(
        {
            "id": "i",
            "model_name": "mine",
            "model_version": "7",
            "parameters": {"k": 1},
            "outputs": [
                {
                    "name": "y",
                    "datatype": "FP32",
                    "shape": [2, 1],
                    "data": [[1], [2.5]],
                    "parameters": {"a": "b"},
                }
            ],
        }
    )
    assert (found.id, found.model_name, found.model_version) == ("i", "mine", "7")
    assert found.parameters == {"k": 1}
    assert found.outputs == [Output("y", "FP32", [2, 1], [1, 2.5], {"a": "b"})]


@pytest.mark.parametrize("absent", [{}, {"id": None, "model_name": "", "model_version": None}])
def test_what_the_handler_leaves_out_is_filled_in(absent):
    found = response(absent | {"outputs": []})
    assert (found.id, found.model_name, found.model_version) == ("request", "model", "1.0")


def test_the_clients_id_comes_back_before_any_other():
    assert response({"id": "handler's", "outputs": []}, Asked("client's")).id == "client's"
    assert response([1], Asked("client's")).id == "client's"


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        ([True], "BOOL"),
        ([1, 2], "INT64"),
        ([1, 2.5], "FP64"),
        (["a"], "BYTES"),
        ([2**63], "FP64"),
        ([], "INT64"),
    ],
)
def test_datatype_and_shape_are_told_from_the_values(values, datatype):
    found = shown({"outputs": [{"name": "y", "data": values}]})
    assert found == (datatype, [len(values)], values)


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (5, ("INT64", [1], [5])),
        (True, ("BOOL", [1], [True])),
        ([1, 2], ("INT64", [2], [1, 2])),
        ([[1, 2.5], [3, 4]], ("FP64", [2, 2], [1, 2.5, 3, 4])),
        ([["a"], ["b"]], ("BYTES", [2, 1], ["a", "b"])),
        ([[[1], [2], [3]]], ("INT64", [1, 3, 1], [1, 2, 3])),
        ([], ("INT64", [0], [])),
        ([[], []], ("INT64", [2, 0], [])),
        ({"cat": 0.5}, ("BYTES", [1], ['{"cat":0.5}'])),
        ([[1], [2, 3]], ("BYTES", [1], ["[[1],[2,3]]"])),
        ([1, "a"], ("BYTES", [1], ['[1,"a"]'])),
        ([True, 1], ("BYTES", [1], ["[true,1]"])),
        ([1, [2]], ("BYTES", [1], ["[1,[2]]"])),
        ([{"a": 1}], ("BYTES", [1], ['[{"a":1}]'])),
        ("text", ("BYTES", [1], ["text"])),
        (b"no json", ("BYTES", [1], ["no json"])),
        (b"", ("BYTES", [1], [""])),
        (None, ("BYTES", [1], ["null"])),
    ],
)
def test_a_plain_answer_becomes_one_output(answer, output):
    assert shown(answer) == output
    assert response(answer).outputs[0].name == "output-0"


def test_a_plain_answer_gets_the_name_the_client_asked_for():
    assert response([1], Asked("", {"y": None})).outputs[0].name == "y"
    with pytest.raises(NoSuchOutput, match="no output 'y'; its outputs are: output-0"):
        response([1], Asked("", {"y": None, "z": None}))


def test_bytes_that_are_no_text_survive_both_forms():
    (output,) = response(b"\xff\x00").outputs
    assert output.document()["data"] == ["/wA="]
    assert output.parameters == {"content_type": "base64"}
    assert output.octets() == [b"\xff\x00"]
    assert output.raw_parameters(size=1) == {"size": 1}


def test_outputs_come_in_the_order_they_were_asked():
    outputs = [{"name": name, "data": [0]} for name in "abc"]
    found = response({"outputs": outputs}, Asked("", {"c": None, "a": None}))
    assert [output.name for output in found.outputs] == ["c", "a"]
    with pytest.raises(NoSuchOutput, match="no output 'd'; its outputs are: a, b, c"):
        response({"outputs": outputs}, Asked("", {"d": None}))
    with pytest.raises(NoSuchOutput, match="its outputs are: none"):
        response({"outputs": []}, Asked("", {"d": None}))


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ({"name": "y"}, "no name or no data"),
        ({"data": [1]}, "no name or no data"),
        ("y", "no name or no data"),
        ({"name": "y", "data": [1], "shape": [2]}, "output 'y': 1 values cannot have the shape"),
        ({"name": "y", "data": [1], "shape": "x"}, "output 'y': shape 'x'"),
        ({"name": "y", "data": [1], "datatype": "float"}, "output 'y': datatype 'float'"),
    ],
)
def test_an_output_that_is_none_is_the_handlers_mistake(output, problem):
    with pytest.raises(AnswerError, match=problem):
        response({"outputs": [output]})


def test_values_that_do_not_fit_are_the_handlers_mistake():
    (output,) = response({"outputs": [{"name": "y", "datatype": "INT8", "data": [300]}]}).outputs
    with pytest.raises(AnswerError, match="output 'y': a value does not fit INT8"):
        output.raw()
    broken = Output("y", "BYTES", [1], ["?"], {"content_type": "base64"})
    with pytest.raises(AnswerError, match="output 'y' is not base64"):
        broken.raw()


def test_texts_are_utf8_and_anything_else_its_json():
    assert Output("y", "BYTES", [3], ["ü", 5, {"a": 1}]).octets() == [
        "ü".encode(),
        b"5",
        b'{"a":1}',
    ]


def test_a_body_holds_json_and_bytes_as_asked():
    found = response(
        {
            "outputs": [
                {"name": "a", "datatype": "INT16", "data": [1, 2]},
                {"name": "b", "datatype": "FP16", "shape": [1, 1], "data": [1.5]},
                {"name": "c", "datatype": "BYTES", "data": ["x"]},
            ],
            "parameters": {"k": 1},
        }
    )
    body, length = body_of(found, Asked("", {"a": True, "b": None, "c": True}))
    assert json.loads(body[:length]) == {
        "model_name": "model",
        "model_version": "1.0",
        "id": "request",
        "parameters": {"k": 1},
        "outputs": [
            {
                "name": "a",
                "datatype": "INT16",
                "shape": [2],
                "parameters": {"binary_data_size": 4},
            },
            {"name": "b", "datatype": "FP16", "shape": [1, 1], "data": [1.5]},
            {
                "name": "c",
                "datatype": "BYTES",
                "shape": [1],
                "parameters": {"binary_data_size": 5},
            },
        ],
    }
    assert body[length:] == b"\x01\x00\x02\x00" + b"\x01\x00\x00\x00x"
    whole, length = body_of(found, ALL)
    assert length is None
    assert [each["data"] for each in json.loads(whole)["outputs"]] == [[1, 2], [1.5], ["x"]]


def test_numbers_that_json_has_no_word_for_pass():
    found = response(b'{"outputs": [{"name": "y", "data": [NaN, -Infinity, 1.0]}]}')
    values = json.loads(body_of(found, ALL)[0])["outputs"][0]["data"]
    assert math.isnan(values[0])
    assert values[1:] == [-math.inf, 1.0]
    assert body_of(found, Asked(binary=True))[0].endswith(b"\x00\x00\x00\x00\x00\x00\xf0\x3f")


TENSOR = {
    "name": st.text(max_size=3) | st.integers(),
    "shape": st.lists(st.integers(-1, 4), max_size=3) | st.none(),
    "datatype": st.sampled_from([*DATATYPES, "FP8"]) | st.none(),
    "data": st.recursive(
        st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.none(),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=8,
    ),
    "parameters": st.just({"content_type": "base64"}) | st.integers(),
}


@given(
    outputs=st.lists(st.fixed_dictionaries({}, optional=TENSOR), max_size=3),
    binary=st.booleans(),
    wanted=st.none() | st.dictionaries(st.text(max_size=3), st.none(), min_size=1, max_size=2),
)
def test_any_answer_is_sent_or_refused(outputs, binary, wanted):
    asked = Asked("", wanted, binary)
    with contextlib.suppress(AnswerError, NoSuchOutput):
        body, length = body_of(response({"outputs": outputs}, asked), asked)
        json.loads(body[:length])


@given(st.binary(max_size=40) | st.just(b"[" * 5000) | st.just(b"[1," * 900 + b"1" + b"]" * 900))
def test_any_bytes_become_a_response(body):
    assert body_of(response(body), ALL)[1] is None
