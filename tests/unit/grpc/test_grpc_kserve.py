"""The Open Inference Protocol: two names, one set of functions; values typed and raw."""

from __future__ import annotations

import asyncio
import json
import struct

import grpc
import pytest

from flambeau.control.readiness import Lack
from flambeau.errors import HandlerFailed, NoWorker
from flambeau.grpc import open_inference_pb2 as messages
from flambeau.grpc.kserve import SERVICE, TORCHSERVE
from flambeau.grpc.kserve_tensors import FIELDS
from flambeau.security.gate import Gate
from flambeau.security.tokens import Tokens
from flambeau.tensors.datatypes import DATATYPES

Code = grpc.StatusCode
LIMIT = 10
BOTH = pytest.mark.parametrize("service", [SERVICE, TORCHSERVE], ids=["public", "torchserve"])


def request(*inputs, model="echo", **more):
    return messages.ModelInferRequest(model_name=model, inputs=inputs, **more)


def typed(datatype, *values, **more):
    return {
        "name": "x",
        "datatype": datatype,
        "shape": [len(values)],
        "contents": {FIELDS[datatype]: values},
    } | more


def raw(datatype, *shape):
    return {"name": "x", "datatype": datatype, "shape": shape}


def output(datatype, *values, **more):
    return {"name": "y", "datatype": datatype, "shape": [len(values)], "data": values} | more


@pytest.fixture
def infer(served, plane, answers):
    """``await infer(request, returned)`` gives the handler's document and the client's response."""

    async def inferred(asked, returned, service=SERVICE):
        call = served.call("ModelInfer", service=service.descriptor)(asked)
        job = await plane.job()
        ((name, kind, chunks),) = job.parts
        assert (name, kind) == ("body", "application/json")
        body = returned if isinstance(returned, bytes) else json.dumps(returned).encode()
        answers.last(job, body)
        return json.loads(b"".join(chunks)), await asyncio.wait_for(call, LIMIT)

    return inferred


@BOTH
async def test_the_server_tells_about_itself(served, plane, service):
    def stub(method):
        return served.call(method, service=service.descriptor)

    assert (await stub("ServerLive")(messages.ServerLiveRequest())).live
    assert (await stub("ServerReady")(messages.ServerReadyRequest())).ready
    about = await stub("ServerMetadata")(messages.ServerMetadataRequest())
    assert (about.name, list(about.extensions)) == ("Torchserve", ["kserve", "kubeflow"])
    plane.lacks = [Lack("echo 1.0", "it is loading")]
    assert not (await stub("ServerReady")(messages.ServerReadyRequest())).ready


@BOTH
async def test_models_tell_their_versions_and_readiness(served, plane, service, failing):
    plane.models["idle"] = ["1.0"]
    ready = served.call("ModelReady", service=service.descriptor)
    assert (await ready(messages.ModelReadyRequest(name="echo", version="2.0"))).ready
    assert not (await ready(messages.ModelReadyRequest(name="idle"))).ready
    metadata = served.call("ModelMetadata", service=service.descriptor)
    found = await metadata(messages.ModelMetadataRequest(name="echo"))
    assert (found.name, list(found.versions), found.platform) == ("echo", ["1.0", "2.0"], "")
    found = await metadata(messages.ModelMetadataRequest(name="echo", version="2.0"))
    assert list(found.versions) == ["2.0"]
    for stub, kind in (
        (ready, messages.ModelReadyRequest),
        (metadata, messages.ModelMetadataRequest),
    ):
        assert (await failing(stub(kind()))).code() is Code.INVALID_ARGUMENT
        assert (await failing(stub(kind(name="no")))).code() is Code.NOT_FOUND
        unknown = await failing(stub(kind(name="echo", version="9")))
        assert unknown.details().startswith("Model version: 9 does not exist for model: echo\n")


TYPED = [
    ("BOOL", [True, False], [True, False]),
    *[(name, [1, 2], [1, 2]) for name in FIELDS if "INT" in name],
    ("FP32", [1.5, -2.0], [1.5, -2.0]),
    ("FP64", [0.1, -2.0], [0.1, -2.0]),
    ("BYTES", [b"\xff", b"ab"], ["/w==", "YWI="]),
]


@BOTH
@pytest.mark.parametrize(("datatype", "sent", "seen"), TYPED, ids=[row[0] for row in TYPED])
async def test_typed_values_reach_the_handler_and_come_back(infer, service, datatype, sent, seen):
    returned = {"outputs": [output(datatype, *(seen if datatype != "BYTES" else ["ü", "2"]))]}
    asked = request(typed(datatype, *sent), id="a")
    document, found = await infer(asked, returned, service)
    assert document == {
        "id": "a",
        "model_name": "echo",
        "inputs": [{"name": "x", "shape": [2], "datatype": datatype, "data": seen}],
    }
    values = list(getattr(found.outputs[0].contents, FIELDS[datatype]))
    texts = ['"ü"'.encode(), b'"2"'] if service is TORCHSERVE else ["ü".encode(), b"2"]
    assert values == (texts if datatype == "BYTES" else sent)
    assert (found.id, found.model_name, found.model_version) == ("a", "echo", "1.0")
    assert not found.raw_output_contents


def test_every_datatype_has_a_way():
    assert {row[0] for row in TYPED} | {"FP16", "BF16"} == set(DATATYPES)


@BOTH
async def test_raw_inputs_get_raw_outputs(infer, service):
    asked = request(
        raw("FP16", 2),
        raw("BF16", 1),
        raw("BYTES", 1),
        raw_input_contents=[b"\x00\x3e\x00\xc0", b"\xc0\x3f", b"\x01\x00\x00\x00\xff"],
    )
    returned = {
        "outputs": [
            output("BF16", 1.5),
            output("INT8", -1, 2),
            output("BYTES", "YWI=", parameters={"content_type": "base64", "k": 1}),
        ]
    }
    document, found = await infer(asked, returned, service)
    assert [each["data"] for each in document["inputs"]] == [[1.5, -2.0], [1.5], ["/w=="]]
    assert list(found.raw_output_contents) == [b"\xc0\x3f", b"\xff\x02", b"\x02\x00\x00\x00ab"]
    assert not any(each.HasField("contents") for each in found.outputs)
    assert dict(found.outputs[2].parameters) == {"k": messages.InferParameter(int64_param=1)}


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
async def test_halves_come_raw_whatever_was_sent(infer, datatype):
    returned = {"outputs": [output(datatype, 1.0), output("INT32", 5)]}
    _, found = await infer(request(typed("INT32", 1)), returned)
    assert len(found.raw_output_contents[0]) == 2
    assert found.raw_output_contents[1] == struct.pack("<i", 5)


async def test_parameters_and_versions_travel_both_ways(infer):
    parameters = {
        "flag": {"bool_param": True},
        "count": {"int64_param": -5},
        "text": {"string_param": "t"},
        "share": {"double_param": 0.5},
        "big": {"uint64_param": 2**63},
        "none": {},
    }
    asked = request(
        typed("INT8", 1, parameters={"k": {"int64_param": 1}}),
        model_version="2.0",
        parameters=parameters,
        outputs=[{"name": "y", "parameters": {"top": {"int64_param": 3}}}],
    )
    values = {"flag": True, "count": -5, "text": "t", "share": 0.5, "big": 2**63, "none": None}
    returned = {"outputs": [output("INT8", 1)], "parameters": values | {"list": [1]}}
    document, found = await infer(asked, returned)
    assert document["parameters"] == values
    assert document["model_version"] == "2.0"
    assert document["inputs"][0]["parameters"] == {"k": 1}
    assert document["outputs"] == [{"name": "y", "parameters": {"top": 3}}]
    assert found.model_version == "2.0"
    assert found.parameters["flag"].bool_param is True
    assert found.parameters["count"].int64_param == -5
    assert found.parameters["share"].double_param == 0.5
    assert found.parameters["big"].string_param == str(2**63)
    assert found.parameters["list"].string_param == "[1]"


async def test_a_plain_answer_becomes_an_output(infer):
    _, found = await infer(request(), [[1, 2]])
    assert found.outputs[0].name == "output-0"
    assert list(found.outputs[0].shape) == [1, 2]
    assert list(found.outputs[0].contents.int64_contents) == [1, 2]
    assert found.id
    _, found = await infer(request(), b"\xff\xfe")
    assert list(found.outputs[0].contents.bytes_contents) == [b"\xff\xfe"]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (request(model=""), "Parameter model_name is required."),
        (request(raw("FP32", 1), raw_input_contents=[b"1"]), "input 'x': 1 bytes cannot have"),
        (request(raw("FP32", 1), raw_input_contents=[b"1234", b""]), "2 entries for 1 inputs"),
        (request(raw("FP9", 1)), "input 'x': datatype 'FP9' is none of"),
        (request(raw("FP16", 1)), "input 'x': FP16 is sent as raw_input_contents"),
    ],
)
async def test_a_request_that_cannot_be_read_is_refused(served, failing, asked, text):
    error = await failing(served.call("ModelInfer")(asked))
    assert error.code() is Code.INVALID_ARGUMENT
    assert text in error.details()


@pytest.mark.parametrize(
    ("returned", "code", "text"),
    [
        ({"outputs": [{"name": "y"}]}, Code.UNAVAILABLE, "no name or no data"),
        ({"outputs": [output("INT8", "a")]}, Code.UNAVAILABLE, "'y': a value does not fit INT8"),
        (
            {"outputs": [output("INT8", 1, parameters={"k": "\ud800"})]},
            Code.UNAVAILABLE,
            "is no v2 response",
        ),
        ({"outputs": []}, Code.INVALID_ARGUMENT, "no output 'y'; its outputs are: none"),
    ],
)
async def test_an_unusable_answer_is_told(served, plane, answers, failing, returned, code, text):
    call = served.call("ModelInfer")(request(outputs=[{"name": "y"}]))
    answers.last(await plane.job(), json.dumps(returned).encode())
    error = await failing(call)
    assert text in error.details()
    assert error.code() is code


@BOTH
async def test_errors_have_the_codes_of_the_table(served, plane, failing, service):
    stub = served.call("ModelInfer", service=service.descriptor)
    assert (await failing(stub(request(model="no")))).code() is Code.NOT_FOUND
    unknown = await failing(stub(request(model_version="9")))
    assert unknown.code() is Code.NOT_FOUND
    plane.failure = NoWorker("none")
    assert (await failing(stub(request()))).code() is Code.UNAVAILABLE


async def test_a_cancelled_call_takes_its_job_off_the_queue(served, plane, flow, happens):
    call = served.call("ModelInfer")(request())
    job = await plane.job()
    job.flow = flow
    call.cancel()
    await happens(lambda: job.cancelled)
    assert flow.cancelled == [job]


async def test_a_deadline_takes_its_job_off_the_queue(served, plane, failing, happens):
    call = served.call("ModelInfer")(request(), timeout=0.2)
    job = await plane.job()
    assert (await failing(call)).code() is Code.DEADLINE_EXCEEDED
    await happens(lambda: job.cancelled)


async def test_a_stream_answers_in_order_and_outlives_errors(served, plane, answers):
    stream = served.call("ModelStreamInfer")()
    for model in ("no", "echo", "echo"):
        await stream.write(request(model=model, id=model))
    assert (await stream.read()).error_message == "Model not found: no"
    job = await plane.job()
    answers.piece(job, b"[1]")
    answers.last(job, b"[2]")
    for value in (1, 2):
        found = (await stream.read()).infer_response
        assert found.id == "echo"
        assert list(found.outputs[0].contents.int64_contents) == [value]
    (await plane.job()).fail(HandlerFailed("broken"))
    assert (await stream.read()).error_message == "broken"
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF


async def test_a_stream_that_is_idle_ends_when_the_server_stops(served, failing):
    stream = served.call("ModelStreamInfer")()
    await stream.write(request(model="no"))
    assert (await stream.read()).error_message
    served.servers.close(LIMIT)
    error = await failing(stream.read())
    assert error.code() is Code.UNAVAILABLE


async def test_a_key_opens_every_call(serving, failing, tmp_path):
    tokens = Tokens(tmp_path / "key_file.json")
    served = await serving(Gate(tokens))
    key = json.loads((tmp_path / "key_file.json").read_text())["inference"]["key"]
    stub = served.call("ServerReady")
    refused = await failing(stub(messages.ServerReadyRequest()))
    assert refused.code() is Code.PERMISSION_DENIED
    metadata = (("authorization", f"Bearer {key}"),)
    assert (await stub(messages.ServerReadyRequest(), metadata=metadata)).ready
