"""What holds for every call: keys, errors, the log, unknown methods."""

from __future__ import annotations

import logging

import grpc
import pytest

from flambeau.errors import QueueFull
from flambeau.grpc.calls import peer_name
from flambeau.grpc.inference_pb2 import PredictionsRequest
from flambeau.grpc.management_pb2 import (
    DescribeModelRequest,
    ListModelsRequest,
    UnregisterModelRequest,
)
from flambeau.grpc.rpcs import INFERENCE, MANAGEMENT
from flambeau.grpc.server import SERVICES
from flambeau.security.gate import AUTHORIZATION_FAILED, Gate
from flambeau.security.tokens import Allow, Credential, Tokens

Code = grpc.StatusCode
NARROW = "narrow-key-0123456789-0123456789-0123456789"
READER = "reader-key-0123456789-0123456789-0123456789"


@pytest.fixture
def tokens(tmp_path):
    grants = [
        Credential.of_key("narrow", NARROW, frozenset({Allow.INFERENCE}), None),
        Credential.of_key("reader", READER, frozenset({Allow.READ}), None),
    ]
    grants[0].models = frozenset({"echo"})
    return Tokens(tmp_path / "key_file.json", 60, grants)


def bearer(key):
    return (("authorization", f"Bearer {key}"),)


def keys(tokens):
    import json  # noqa: PLC0415

    held = json.loads(tokens.key_file.read_text())
    return held["inference"]["key"], held["management"]["key"]


def test_every_method_of_every_service_has_a_row():
    for services in SERVICES.values():
        for service in services:
            rows = {rpc.name for rpc in service.rpcs}
            assert rows == set(service.descriptor.methods_by_name)


@pytest.mark.parametrize("method", ["Ping", "Predictions", "StreamPredictions", "ListModels"])
async def test_a_call_without_the_right_key_reaches_nothing(
    serving, plane, tokens, failing, method
):
    served = await serving(Gate(tokens))
    inference, management = keys(tokens)
    wrong = management if method != "ListModels" else inference
    stub = served.call(method)
    request = stub_request(method)
    for metadata in (None, bearer("x"), bearer(wrong), (("authorization", wrong),)):
        call = stub(request, metadata=metadata)
        error = await failing(call.read() if method == "StreamPredictions" else call)
        assert (error.code(), error.details()) == (Code.PERMISSION_DENIED, AUTHORIZATION_FAILED)
    assert plane.jobs.empty()
    assert plane.asked == []


def stub_request(method):
    from google.protobuf.empty_pb2 import Empty  # noqa: PLC0415

    if method == "Ping":
        return Empty()
    return ListModelsRequest() if method == "ListModels" else PredictionsRequest(model_name="echo")


async def test_the_right_key_opens_its_api(serving, tokens):
    served = await serving(Gate(tokens))
    inference, management = keys(tokens)
    await served.call("Ping")(stub_request("Ping"), metadata=bearer(inference))
    await served.call("ListModels")(ListModelsRequest(), metadata=bearer(management))


async def test_a_key_for_one_model_opens_no_other(serving, plane, tokens, failing, answers):
    plane.models["other"] = ["1.0"]
    served = await serving(Gate(tokens))
    predict = served.call("Predictions")
    error = await failing(predict(PredictionsRequest(model_name="other"), metadata=bearer(NARROW)))
    assert error.code() is Code.PERMISSION_DENIED
    call = predict(PredictionsRequest(model_name="echo"), metadata=bearer(NARROW))
    answers.last(await plane.job(), b"yes")
    assert (await call).prediction == b"yes"


async def test_a_key_for_one_model_is_asked_again_for_each_request_of_a_conversation(
    serving, plane, tokens, answers
):
    plane.models["other"] = ["1.0"]
    served = await serving(Gate(tokens))
    call = served.call("StreamPredictions2")(metadata=bearer(NARROW))
    await call.write(PredictionsRequest(model_name="other", sequence_id="a"))
    assert (await call.read()).status.code == Code.PERMISSION_DENIED.value[0]
    await call.write(PredictionsRequest(model_name="echo", sequence_id="a"))
    answers.last(await plane.job(), b"yes")
    assert (await call.read()).prediction == b"yes"
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_key_that_may_only_read_changes_nothing(serving, plane, tokens, failing):
    served = await serving(Gate(tokens))
    await served.call("ListModels")(ListModelsRequest(), metadata=bearer(READER))
    request = UnregisterModelRequest(model_name="echo")
    error = await failing(served.call("UnregisterModel")(request, metadata=bearer(READER)))
    assert error.code() is Code.PERMISSION_DENIED
    assert len(plane.asked) == 1


async def test_an_error_has_code_text_and_request_id(served, plane, failing):
    plane.failure = QueueFull("full")
    error = await failing(served.call("Predictions")(PredictionsRequest(model_name="echo")))
    assert error.code() is Code.UNAVAILABLE
    assert error.details() == "full\norg.pytorch.serve.http.ServiceUnavailableException"
    assert ("x-request-id", served.lines[0][-1]) in list(error.trailing_metadata())


async def test_an_unexpected_error_is_logged_and_hidden(served, plane, failing, caplog):
    plane.failure = RuntimeError("secret")
    with caplog.at_level(logging.ERROR, "flambeau.grpc"):
        error = await failing(served.call("DescribeModel")(DescribeModelRequest(model_name="m")))
    assert error.code() is Code.INTERNAL
    assert "secret" not in error.details()
    assert "secret" in caplog.text


async def test_a_call_is_logged_as_the_original_does(served, plane, answers):
    call = served.call("Predictions")(PredictionsRequest(model_name="echo"))
    answers.last(await plane.job())
    await call
    peer, *rest, ms, _ = served.lines[0]
    assert peer.startswith("/127.0.0.1:")
    assert rest == [
        b"gRPC",
        b"/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions",
        "2.0",
        0,
    ]
    assert ms >= 0


async def test_a_stream_is_logged_once_at_its_first_piece(served, plane, answers):
    call = served.call("StreamPredictions")(PredictionsRequest(model_name="echo"))
    job = await plane.job()
    assert served.lines == []
    answers.piece(job, b"a")
    await call.read()
    assert len(served.lines) == 1
    answers.last(job, b"b")
    await call.read()
    assert await call.read() is grpc.aio.EOF
    assert len(served.lines) == 1


async def test_a_call_that_its_client_gives_up_is_logged_as_cancelled(served, plane, happens):
    call = served.call("Predictions")(PredictionsRequest(model_name="echo"))
    await plane.job()
    call.cancel()
    await happens(lambda: served.lines)
    assert served.lines[0][4] == Code.CANCELLED.value[0]


@pytest.mark.parametrize(
    ("method", "api"), [("Predictions", MANAGEMENT), ("ListModels", INFERENCE)]
)
async def test_the_services_of_the_other_port_are_not_there(served, failing, method, api):
    error = await failing(served.call(method, api=api)(stub_request(method)))
    service = SERVICES[INFERENCE if api == MANAGEMENT else MANAGEMENT][0].name
    assert error.code() is Code.UNIMPLEMENTED
    assert error.details() == f"Method not found: {service}/{method}"


async def test_a_message_over_the_limit_is_refused_with_both_sizes(served, failing):
    request = PredictionsRequest(model_name="echo", input={"data": b"x" * 10_000})
    error = await failing(served.call("Predictions")(request))
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert "9999" in error.details()


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("ipv4:127.0.0.1:5", "/127.0.0.1:5"),
        ("ipv6:%5B::1%5D:5", "/[::1]:5"),
        ("unix:/run/x", "127.0.0.1"),
    ],
)
def test_peers_are_spelled_as_in_the_access_log(peer, name):
    assert peer_name(peer) == name
