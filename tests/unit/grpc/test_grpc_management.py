"""Management messages into requests of the control plane, and back."""

from __future__ import annotations

import json

import grpc
import pytest

from flambeau.control.requests import (
    DescribeModel,
    ListModels,
    RegisterModel,
    ScaleWorkers,
    SetDefaultVersion,
    UnregisterModel,
)
from flambeau.errors import Conflict, DefaultVersionInUse
from flambeau.grpc.management_pb2 import (
    DescribeModelRequest,
    ListModelsRequest,
    RegisterModelRequest,
    ScaleWorkerRequest,
    SetDefaultRequest,
    UnregisterModelRequest,
)

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("method", "message", "request_"),
    [
        ("ListModels", ListModelsRequest(), ListModels(limit=100)),
        ("ListModels", ListModelsRequest(limit=0), ListModels(limit=0)),
        (
            "ListModels",
            ListModelsRequest(limit=7, next_page_token=3),
            ListModels(limit=7, next_page_token=3),
        ),
        ("ListModels", ListModelsRequest(limit=-1, next_page_token=-1), ListModels(limit=100)),
        ("ListModels", ListModelsRequest(limit=101), ListModels(limit=101)),
        ("DescribeModel", DescribeModelRequest(model_name="m"), DescribeModel(model_name="m")),
        (
            "DescribeModel",
            DescribeModelRequest(model_name="m", model_version="2", customized=True),
            DescribeModel(model_name="m", model_version="2", customized=True),
        ),
        (
            "DescribeModel",
            DescribeModelRequest(model_name="m", model_version="all"),
            DescribeModel(model_name="m", all_versions=True),
        ),
        ("RegisterModel", RegisterModelRequest(), RegisterModel(synchronous=False)),
        (
            "RegisterModel",
            RegisterModelRequest(url="a.mar"),
            RegisterModel(url="a.mar", synchronous=False),
        ),
        (
            "RegisterModel",
            RegisterModelRequest(
                url="a.mar",
                batch_size=-3,
                max_batch_delay=-3,
                initial_workers=-3,
                response_timeout=-3,
                startup_timeout=-3,
            ),
            RegisterModel(url="a.mar", synchronous=False),
        ),
        (
            "RegisterModel",
            RegisterModelRequest(url="a.mar", batch_size=0, max_batch_delay=0, initial_workers=0),
            RegisterModel(url="a.mar", max_batch_delay=0, initial_workers=0, synchronous=False),
        ),
        (
            "RegisterModel",
            RegisterModelRequest(
                url="a.mar",
                model_name="m",
                handler="h:x",
                runtime="python3",
                batch_size=3,
                max_batch_delay=4,
                initial_workers=2,
                synchronous=True,
                response_timeout=5,
                startup_timeout=6,
                s3_sse_kms=True,
            ),
            RegisterModel(
                url="a.mar",
                model_name="m",
                handler="h:x",
                runtime="python3",
                batch_size=3,
                max_batch_delay=4,
                initial_workers=2,
                synchronous=True,
                response_timeout=5,
                startup_timeout=6,
                s3_sse_kms=True,
            ),
        ),
        ("ScaleWorker", ScaleWorkerRequest(model_name="m"), ScaleWorkers(model_name="m")),
        (
            "ScaleWorker",
            ScaleWorkerRequest(model_name="m", min_worker=0, max_worker=0, timeout=0),
            ScaleWorkers(model_name="m", min_worker=0, max_worker=0, timeout=0),
        ),
        (
            "ScaleWorker",
            ScaleWorkerRequest(model_name="m", min_worker=-1, timeout=-5),
            ScaleWorkers(model_name="m"),
        ),
        (
            "ScaleWorker",
            ScaleWorkerRequest(
                model_name="m", model_version="2", min_worker=1, max_worker=3, synchronous=True
            ),
            ScaleWorkers(
                model_name="m", model_version="2", min_worker=1, max_worker=3, synchronous=True
            ),
        ),
        (
            "SetDefault",
            SetDefaultRequest(model_name="m", model_version="2"),
            SetDefaultVersion(model_name="m", model_version="2"),
        ),
        (
            "UnregisterModel",
            UnregisterModelRequest(model_name="m", model_version="2"),
            UnregisterModel(model_name="m", model_version="2"),
        ),
    ],
)
async def test_a_message_becomes_the_request_of_the_control_plane(
    served, plane, method, message, request_
):
    await served.call(method)(message)
    assert plane.asked == [request_]


async def test_a_list_is_json_without_a_final_newline(served):
    text = (await served.call("ListModels")(ListModelsRequest())).msg
    assert json.loads(text) == {"models": [{"modelName": "echo", "modelUrl": "u"}]}
    assert text.startswith('{\n  "models"')
    assert text.endswith("}")


async def test_a_change_is_answered_with_a_plain_sentence(served):
    assert (await served.call("ScaleWorker")(ScaleWorkerRequest(model_name="m"))).msg == "scaled"


@pytest.mark.parametrize(
    ("method", "message", "field"),
    [
        ("ScaleWorker", ScaleWorkerRequest(), "model_name"),
        ("SetDefault", SetDefaultRequest(), "model_name"),
        ("SetDefault", SetDefaultRequest(model_name="m"), "model_version"),
        ("UnregisterModel", UnregisterModelRequest(), "model_name"),
    ],
)
async def test_a_blank_field_that_is_required_is_named(
    served, plane, failing, method, message, field
):
    error = await failing(served.call(method)(message))
    assert error.code() is Code.INVALID_ARGUMENT
    assert error.details().split("\n")[0] == f"Parameter {field} is required."
    assert plane.asked == []


@pytest.mark.parametrize(
    ("method", "message"),
    [("RegisterModel", RegisterModelRequest()), ("UnregisterModel", UnregisterModelRequest())],
)
async def test_changes_are_refused_before_anything_else_while_the_api_is_off(
    served, plane, failing, method, message
):
    served.gate.model_api = False
    error = await failing(served.call(method)(message))
    assert error.code() is Code.PERMISSION_DENIED
    assert error.details().split("\n")[0] == "Model API disabled"
    assert plane.asked == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Conflict("registered already"), Code.ABORTED),
        (DefaultVersionInUse("default"), Code.PERMISSION_DENIED),
    ],
)
async def test_a_refusal_of_the_control_plane_is_told(served, plane, failing, failure, code):
    plane.failure = failure
    error = await failing(served.call("UnregisterModel")(UnregisterModelRequest(model_name="m")))
    assert (error.code(), error.details().split("\n")[0]) == (code, str(failure))
