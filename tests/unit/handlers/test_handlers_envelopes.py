from __future__ import annotations

import json

import pytest

from flambeau.errors import Failure
from flambeau.handlers.envelope_kservev2 import KServev2Envelope
from flambeau.handlers.envelopes import BodyEnvelope, JSONEnvelope, KServeEnvelope
from flambeau.worker.context import Context, RequestProcessor
from flambeau.worker.failures import Fault, PredictionException, told_to_client


def context_of(size=1, **headers):
    manifest = {"model": {"modelVersion": "1.0"}}
    context = Context("m", "/model", manifest, size, None, "v")
    context.request_processor = [RequestProcessor(dict(headers)) for _ in range(size)]
    context.request_ids = {index: f"id-{index}" for index in range(size)}
    return context


def answered(envelope, rows, answer=lambda data: data, **headers):
    seen = []

    def handler(data, context):
        seen.append(data)
        return answer(data)

    return envelope(handler).handle(rows, context_of(len(rows), **headers)), seen[0]


def test_body_hands_over_payloads():
    rows = [{"data": b"a"}, {"body": b"b"}, {"x": 1}, {"data": [], "body": b"c"}]
    answers, seen = answered(BodyEnvelope, rows)
    assert answers == seen == [b"a", b"b", None, []]


@pytest.mark.parametrize("kind", [lambda d: d, lambda d: json.dumps(d).encode(), json.dumps])
def test_json_flattens_the_instances_of_all_requests_and_deals_out_the_answers(kind):
    rows = [{"body": kind({"instances": [1, 2]})}, {"data": kind({"instances": [3]})}]
    answers, seen = answered(JSONEnvelope, rows, lambda data: [one * 2 for one in data])
    assert seen == [1, 2, 3]
    assert answers == ['{"predictions": [2, 4]}', '{"predictions": [6]}']


def test_json_decodes_base64_instances_and_columns():
    rows = [{"body": {"instances": [{"b64": "AQI="}, {"a": {"b64": "AQI="}, "c": 1}]}}]
    _, seen = answered(JSONEnvelope, rows, lambda data: [0] * len(data))
    assert seen == [b"\x01\x02", {"a": b"\x01\x02", "c": 1}]


@pytest.mark.parametrize("envelope", [JSONEnvelope, KServeEnvelope])
@pytest.mark.parametrize("body", [[1], b"{", None, {"instances": 5}])
def test_a_body_without_instances_is_refused(envelope, body):
    with pytest.raises(ValueError):
        answered(envelope, [{"body": body}])


def test_json_wants_instances():
    with pytest.raises(ValueError):
        answered(JSONEnvelope, [{"body": {"inst": 1}}])


def test_kserve_answers_a_document_of_another_protocol_as_its_clients_know_it():
    with pytest.raises(PredictionException) as caught:
        answered(KServeEnvelope, [{"body": {"inst": 1}}])
    assert told_to_client(caught.value) == Fault(
        Failure.CHOSEN, "Invalid model predict output", 503
    )


def test_kserve_names_predictions_and_explanations():
    rows = [{"body": {"instances": [1, 2]}}]
    assert answered(KServeEnvelope, rows)[0] == [{"predictions": [1, 2]}]
    assert answered(KServeEnvelope, rows, explain="True")[0] == [{"explanations": [1, 2]}]


def test_kserve_answers_every_request_of_a_batch():
    rows = [
        {"body": {"instances": [1, 2]}},
        {"body": {"instances": []}},
        {"body": {"instances": [3]}},
    ]
    answers, seen = answered(KServeEnvelope, rows)
    assert seen == [1, 2, 3]
    assert answers == [{"predictions": [1, 2]}, {"predictions": []}, {"predictions": [3]}]


def test_a_handler_that_answers_once_per_request_is_understood():
    rows = [{"body": {"instances": [1, 2]}}, {"body": {"instances": [3]}}]
    answers, _ = answered(KServeEnvelope, rows, lambda data: ["a", "b"])
    assert answers == [{"predictions": ["a"]}, {"predictions": ["b"]}]


def test_a_number_of_answers_that_fits_nothing_is_refused():
    rows = [{"body": {"instances": [1, 2]}}, {"body": {"instances": [3, 4]}}]
    with pytest.raises(ValueError, match="3 answers for 4 instances"):
        answered(KServeEnvelope, rows, lambda data: [1, 2, 3])


def tensor(name="a", shape=(2, 2), datatype="FP32", data=(1, 2, 3, 4)):
    return {"name": name, "shape": list(shape), "datatype": datatype, "data": list(data)}


def v2(*tensors, **fields):
    return {"body": {"inputs": list(tensors), **fields}}


def test_kservev2_shapes_the_data_and_describes_the_outputs():
    answers, seen = answered(KServev2Envelope, [v2(tensor(), id="q")], lambda data: [1.5])
    assert seen == [{**tensor(), "data": [[1, 2], [3, 4]]}]
    assert answers == [
        {
            "id": "q",
            "model_name": "m",
            "model_version": "1.0",
            "outputs": [{"name": "a", "datatype": "FP64", "data": [1.5], "shape": [1]}],
        }
    ]


def test_kservev2_takes_batches_of_any_size():
    rows = [v2(tensor(), tensor("b")), v2(tensor("c"), id="own")]
    answers, seen = answered(KServev2Envelope, rows, lambda data: [[1], [2], [3]])
    assert [one["name"] for one in seen] == ["a", "b", "c"]
    assert [one["id"] for one in answers] == ["id-0", "own"]
    assert [[out["data"] for out in one["outputs"]] for one in answers] == [[[1], [2]], [[3]]]


@pytest.mark.parametrize(
    ("output", "datatype", "data"),
    [
        (1, "INT64", [1]),
        (True, "BOOL", [True]),
        ("a", "BYTES", ["a"]),
        (b"a", "BYTES", ["a"]),
        (b"\xff", "BYTES", ["/w=="]),
        ({"a": 1}, "BYTES", [{"a": 1}]),
        ([[1, 2.5], [3, 4]], "FP64", [1, 2.5, 3, 4]),
    ],
)
def test_kservev2_finds_the_datatype_of_an_output(output, datatype, data):
    (answer,), _ = answered(KServev2Envelope, [v2(tensor())], lambda _: [output])
    assert answer["outputs"] == [
        {"name": "a", "datatype": datatype, "data": data, "shape": [len(data)]}
    ]


@pytest.mark.torch
def test_kservev2_understands_tensors():
    torch = pytest.importorskip("torch")
    output = torch.tensor([[1.0, 2.0]])
    (answer,), _ = answered(KServev2Envelope, [v2(tensor())], lambda _: [output])
    assert answer["outputs"][0] == {
        "name": "a",
        "datatype": "FP32",
        "data": [1.0, 2.0],
        "shape": [2],
    }


def test_kservev2_gives_the_first_element_of_bytes_and_fills_an_open_dimension():
    rows = [v2(tensor(datatype="BYTES", shape=[1], data=["xx", "yy"]), tensor("b", [-1, 2]))]
    _, seen = answered(KServev2Envelope, rows, lambda data: [1, 2])
    assert seen[0]["data"] == "xx"
    assert seen[1]["data"] == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "body",
    [{"in": 1}, {"inputs": 1}, {"inputs": [{"name": "a"}]}, {"inputs": [tensor(shape=[3])]}, b"["],
)
def test_kservev2_refuses_what_does_not_fit(body):
    with pytest.raises(ValueError):
        answered(KServev2Envelope, [{"body": body}])


def test_more_outputs_than_inputs_are_refused():
    with pytest.raises(ValueError, match="2 outputs for 1 inputs"):
        answered(KServev2Envelope, [v2(tensor())], lambda _: [1, 2])


@pytest.mark.parametrize("envelope", [BodyEnvelope, JSONEnvelope, KServeEnvelope, KServev2Envelope])
def test_describe_requests_pass_untouched(envelope):
    answers, seen = answered(envelope, [{}], lambda data: ["described"], describe="True")
    assert answers == ["described"]
    assert seen == [{}]
