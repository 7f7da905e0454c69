"""KServe over REST: what tells about models, and what stands between a v2 client and its handler."""

from __future__ import annotations

import json
import struct

import pytest

from flambeau.control.readiness import Lack
from flambeau.errors import HandlerFailed, NoWorker
from flambeau.jobs.job import Answer
from flambeau.rest.route import Api
from flambeau.transport.messages import unpack_headers

INFER = "/v2/models/echo/infer"
RESPONSE = {"outputs": [{"name": "y", "datatype": "INT32", "shape": [2], "data": [1, 2]}]}


def gives(plane, document, **more):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    plane.answer = lambda _: Answer(body=body, **more)


def binary(**more):
    """Headers and body of a request with one FP32 input as bytes."""
    tensor = {
        "name": "x",
        "shape": [1, 2],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 8},
    }
    head = json.dumps({"inputs": [tensor]} | more).encode()
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Inference-Header-Content-Length", str(len(head))),
    ]
    return headers, head + struct.pack("<2f", 1.5, 2.5)


async def test_the_server_tells_about_itself(listen):
    listener = listen(Api.INFERENCE, server_version="9")
    for method in ("GET", "POST"):
        assert (await listener.send(method, "/v2")).json == {
            "name": "Torchserve",
            "version": "9",
            "extenstion": ["kserve", "kubeflow"],
            "extensions": ["kserve", "kubeflow", "binary_tensor_data"],
        }
        assert (await listener.send(method, "/v2/health/live")).body == b'{\n  "live": true\n}\n'


async def test_the_server_is_ready_when_its_startup_models_are(inference, plane):
    found = await inference.send("GET", "/v2/health/ready")
    assert (found.status, found.json) == (200, {"ready": True})
    plane.lacks = [Lack("echo 1.0", "it is loading")]
    found = await inference.send("GET", "/v2/health/ready")
    assert (found.status, found.json) == (503, {"ready": False})
    assert (await inference.send("GET", "/v2/health/live")).status == 200


async def test_models_tell_their_versions(inference):
    whole = {"name": "echo", "platform": "", "inputs": [], "outputs": []}
    found = (await inference.send("GET", "/v2/models/echo")).json
    assert found == whole | {"versions": ["1.0", "2.0"]}
    found = (await inference.send("GET", "/v2/models/echo/versions/2.0")).json
    assert found == whole | {"versions": ["2.0"]}
    assert (await inference.send("GET", "/v1/models")).json == {"models": ["echo"]}


@pytest.mark.parametrize("version", ["", "/versions/2.0"])
async def test_a_model_is_ready_when_a_worker_is_loaded(inference, plane, version):
    plane.models["idle"] = {"2.0": "x.mar"}
    found = await inference.send("GET", f"/v2/models/echo{version}/ready")
    assert (found.status, found.json) == (200, {"name": "echo", "ready": True})
    found = await inference.send("GET", f"/v2/models/idle{version}/ready")
    assert (found.status, found.json) == (503, {"name": "idle", "ready": False})
    assert (await inference.send("POST", f"/v2/models/echo{version}/ready")).status == 405


async def test_v1_readiness_is_on_both_apis(inference, management, plane):
    plane.models["idle"] = {"1.0": "x.mar"}
    for listener in (inference, management):
        found = await listener.send("GET", "/v1/models/idle")
        assert (found.status, found.json) == (200, {"name": "idle", "ready": False})


@pytest.mark.parametrize("path", ["", "/ready", "/versions/1.0", "/versions/1.0/ready"])
async def test_an_unknown_model_is_named_where_v2_clients_look(inference, path):
    found = await inference.send("GET", f"/v2/models/nope{path}")
    text = "Model not found: nope"
    assert (found.status, found.json) == (
        404,
        {"code": 404, "type": "ModelNotFoundException", "message": text, "error": text},
    )


@pytest.mark.parametrize("path", ["", "/ready"])
async def test_an_unknown_version_is_named(inference, path):
    found = await inference.send("GET", f"/v2/models/echo/versions/9{path}")
    assert (found.status, found.json["type"]) == (404, "ModelVersionNotFoundException")


async def test_a_request_that_asks_for_nothing_passes_both_ways_as_it_is(inference, plane):
    gives(plane, b'{ "cat": 1 }', headers=[("X-Mine", "1")])
    sent = b'{"id": "7",  "inputs": []}'
    found = await inference.send("POST", INFER, [("Content-Type", "application/json")], sent)
    assert plane.inputs == [[("body", "application/json", sent)]]
    assert found.body == b'{ "cat": 1 }'
    assert "content-type" not in found.headers
    assert found.headers["x-mine"] == "1"
    assert ("explain", "False") in unpack_headers(plane.jobs[0].headers)


async def test_a_form_is_taken_apart_as_on_every_route(inference, plane):
    headers = [("Content-Type", "application/x-www-form-urlencoded")]
    await inference.send("POST", INFER, headers, b"a=1&b=2")
    assert [name for name, _, _ in plane.inputs[0]] == ["a", "b"]


async def test_a_response_without_names_is_completed(inference, plane):
    gives(plane, RESPONSE)
    found = await inference.send("POST", INFER, [], b'{"id": "7", "inputs": []}')
    names = {"model_name": "echo", "model_version": "1.0", "id": "7"}
    assert found.json == RESPONSE | names
    assert found.headers["content-type"] == "application/json"
    path = "/v2/models/echo/versions/2.0/infer"
    found = await inference.send("POST", path, [], b'{"inputs": []}')
    assert found.json["model_version"] == "2.0"
    assert found.json["id"] == found.headers["x-request-id"]


async def test_a_response_that_looks_like_one_and_is_none_passes(inference, plane):
    gives(plane, {"outputs": ["cat", "dog"]})
    found = await inference.send("POST", INFER, [], b'{"inputs": []}')
    assert found.json == {"outputs": ["cat", "dog"]}


async def test_what_one_request_asked_is_not_remembered_for_the_next(inference, plane):
    gives(plane, {"model_name": "m"} | RESPONSE)
    plain = b'{"inputs": [],            "x":     0}'
    asking = b'{"inputs": [], "outputs":[{"name":"z"}]}'
    for body, status in [(plain, 200), (asking, 400), (plain, 200), (asking, 400)]:
        assert (await inference.send("POST", INFER, [], body)).status == status


async def test_binary_tensors_reach_the_handler_as_json(inference, plane):
    gives(plane, RESPONSE)
    headers, body = binary(id="a")
    found = await inference.send("POST", INFER, headers, body)
    ((name, kind, document),) = plane.inputs[0]
    assert (name, kind) == ("body", "application/json")
    assert json.loads(document) == {
        "id": "a",
        "model_name": "echo",
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2.5]}],
    }
    assert found.json["outputs"] == RESPONSE["outputs"]
    assert found.json["id"] == "a"
    assert "inference-header-content-length" not in found.headers


async def test_outputs_come_as_bytes_when_asked(inference, plane):
    more = [("content-type", "text/plain"), ("X-Mine", "1")]
    gives(plane, RESPONSE, headers=more, status=201, phrase="Fine")
    headers, body = binary(parameters={"binary_data_output": True})
    found = await inference.send("POST", INFER, headers, body)
    length = int(found.headers["inference-header-content-length"])
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["x-mine"] == "1"
    assert (found.status, found.reason) == (201, "Fine")
    assert json.loads(found.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert found.body[length:] == struct.pack("<2i", 1, 2)


async def test_a_plain_answer_is_wrapped_for_a_client_that_asks(inference, plane):
    gives(plane, [0.5])
    body = b'{"inputs": [], "outputs": [{"name": "score"}]}'
    found = (await inference.send("POST", INFER, [], body)).json
    assert found["outputs"] == [{"name": "score", "datatype": "FP64", "shape": [1], "data": [0.5]}]


async def test_an_answer_whose_status_is_an_error_is_left_alone(inference, plane):
    gives(plane, b"gone", status=410)
    headers, body = binary()
    found = await inference.send("POST", INFER, headers, body)
    assert (found.status, found.body) == (410, b"gone")


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        ({"outputs": [{"name": "y", "datatype": "INT8", "data": [300]}]}, 503, "does not fit INT8"),
        ({"outputs": [{"data": [1]}]}, 503, "no name or no data"),
    ],
)
async def test_an_unusable_response_is_the_handlers_failure(inference, plane, answer, status, text):
    gives(plane, answer)
    headers, body = binary(parameters={"binary_data_output": True})
    found = await inference.send("POST", INFER, headers, body)
    assert found.status == status
    assert text in found.json["error"]
    assert found.json["error"] == found.json["message"]


async def test_an_output_the_model_has_not_is_the_clients_mistake(inference, plane):
    gives(plane, RESPONSE)
    headers, body = binary(outputs=[{"name": "z"}])
    found = await inference.send("POST", INFER, headers, body)
    assert found.status == 400
    assert found.json["error"] == "The model gave no output 'z'; its outputs are: y."


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        ([("inference-header-content-length", "x")], b"{}", "is 'x', but the body has 2 bytes"),
        ([("Inference-Header-Content-Length", "2")], b"{}", "cannot be read"),
        (
            [("Inference-Header-Content-Length", "2"), ("Content-Encoding", "gzip")],
            b"{}",
            "send no Content-Encoding",
        ),
    ],
)
async def test_a_binary_request_that_cannot_be_read_is_refused(
    inference, plane, headers, body, text
):
    found = await inference.send("POST", INFER, headers, body)
    assert (found.status, found.json["type"]) == (400, "BadRequestException")
    assert text in found.json["error"]
    assert plane.jobs == []


@pytest.mark.parametrize("asks", [True, False])
async def test_errors_carry_the_protocols_member_for_those_who_ask(inference, plane, asks):
    headers, body = binary() if asks else ([], b'{"inputs": []}')
    plane.refusal = NoWorker("none")
    refused = await inference.send("POST", INFER, headers, body)
    assert refused.headers["retry-after"] == "1"
    plane.refusal = None
    plane.answer = lambda job: job.fail(HandlerFailed("no"))
    failed = await inference.send("POST", INFER, headers, body)
    for found, text in ((refused, "none"), (failed, "no")):
        assert found.status == 503
        assert found.json["message"] == text
        assert found.json.get("error") == (text if asks else None)


async def test_a_stream_passes_as_it_is(inference, plane):
    plane.answer = lambda _: None
    headers, body = binary()
    exchange, wire = inference.exchange("POST", INFER, headers, body)
    inference.app(exchange)
    (job,) = plane.jobs
    job.answer(Answer(body=b"a", more=True))
    job.answer(Answer(body=b"b"))
    assert wire.response.chunks == [b"a", b"b", b""]
