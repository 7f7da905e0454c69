from __future__ import annotations

import json

import pytest

from flambeau.control.requests import (
    DescribeModel,
    ListModels,
    RegisterModel,
    ScaleWorkers,
    SetDefaultVersion,
    UnregisterModel,
)

JSON = [("Content-Type", "Application/JSON; charset=utf-8")]


@pytest.mark.parametrize(
    ("query", "request_"),
    [
        ("", ListModels()),
        ("?limit=2&next_page_token=4", ListModels(limit=2, next_page_token=4)),
        ("?limit=0", ListModels(limit=0)),
        ("?limit=101&next_page_token=-1", ListModels(limit=101, next_page_token=-1)),
        ("?limit=-1&next_page_token=99999999999", ListModels(limit=-1)),
        ("?limit=two&LIMIT=1", ListModels()),
        ("?limit=+2", ListModels()),
    ],
)
async def test_a_page_that_is_no_number_means_the_default_page(management, plane, query, request_):
    response = await management.send("GET", f"/models{query}")
    assert plane.asked == [request_]
    assert response.json == {"models": [{"modelName": "echo", "modelUrl": "echo.mar"}]}


async def test_register_reads_every_parameter_of_the_query(management, plane):
    query = (
        "url=a.mar&model_name=n&handler=h&runtime=python3&batch_size=2&max_batch_delay=3"
        "&initial_workers=4&synchronous=false&response_timeout=5&startup_timeout=6"
        "&s3_sse_kms=TRUE&sha256=ab&colour=blue&url=b.mar"
    )
    response = await management.send("POST", f"/models?{query}")
    assert (response.status, response.reason) == (202, "Accepted")
    assert plane.asked == [
        RegisterModel(
            url="a.mar",
            model_name="n",
            handler="h",
            runtime="python3",
            batch_size=2,
            max_batch_delay=3,
            initial_workers=4,
            synchronous=False,
            response_timeout=5,
            startup_timeout=6,
            s3_sse_kms=True,
            sha256="ab",
        )
    ]


async def test_register_takes_what_is_no_number_as_not_given(management, plane):
    await management.send("POST", "/models?url=a.mar&initial_workers=two&batch_size=1.5")
    assert plane.asked == [RegisterModel(url="a.mar")]


async def test_register_waits_unless_told_otherwise(management, plane):
    assert (await management.send("POST", "/models?url=a.mar")).status == 200
    assert plane.asked[0].synchronous is True


async def test_a_json_body_replaces_the_query(management, plane):
    body = {"url": "a.mar", "batch_size": "2", "initial_workers": 1, "x": 1, "synchronous": None}
    await management.send("POST", "/models?url=b.mar&model_name=q", JSON, json.dumps(body).encode())
    assert plane.asked == [RegisterModel(url="a.mar", batch_size=2, initial_workers=1)]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b""),
        ([("Content-Type", "application/x-www-form-urlencoded")], b"url=echo.mar"),
        ([("Content-Type", "text/plain")], b'{"url": "echo.mar"}'),
        (JSON, b'{"url": null}'),
        (JSON, b'{"model_name": "j4"}'),
    ],
)
async def test_what_register_means_without_a_url_is_for_the_control_plane_to_say(
    management, plane, headers, body
):
    await management.send("POST", "/models", headers, body)
    assert plane.asked[0].url is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "cannot be used"),
        (b'{"url": ', "cannot be used"),
        (b"null", "must be an object"),
        (b'["echo.mar"]', "must be an object"),
        (b'{"url": "a", "batch_size": 1.5}', "$.batch_size"),
        (b'{"url": "a", "batch_size": "two"}', "$.batch_size"),
        (b'{"url": "a", "model_name": ["x"]}', "$.model_name"),
        (b'{"url": "a", "synchronous": "maybe"}', "$.synchronous"),
        (b"\xff", "cannot be used"),
    ],
)
async def test_a_json_body_that_is_no_registration_is_a_bad_request(management, plane, body, said):
    response = await management.send("POST", "/models?url=echo.mar", JSON, body)
    assert (response.status, response.json["type"]) == (400, "BadRequestException")
    assert said in response.json["message"]
    assert plane.asked == []


@pytest.mark.parametrize(
    ("target", "request_"),
    [
        ("/models/a%20b", DescribeModel(model_name="a b")),
        ("/models/all", DescribeModel(model_name="all")),
        ("/models/echo/1.0", DescribeModel(model_name="echo", model_version="1.0")),
        ("/models/echo%2F1.0", DescribeModel(model_name="echo", model_version="1.0")),
        ("/models/echo/all", DescribeModel(model_name="echo", all_versions=True)),
        ("/models/echo?customized=True", DescribeModel(model_name="echo", customized=True)),
    ],
)
async def test_describe_asks_for_what_the_path_names(management, plane, target, request_):
    plane.models["a b"] = plane.models["all"] = {"1.0": "x.mar"}
    response = await management.send("GET", target)
    assert plane.asked == [request_]
    assert response.json[0]["modelName"] == request_.model_name


async def test_the_clients_headers_reach_a_handler_that_describes_itself(management, plane):
    await management.send("GET", "/models/echo?customized=true", [("X-Probe", "ü")])
    assert plane.headers == [("Host", "h"), ("X-Probe", "ü")]


async def test_a_description_leaves_absent_values_out(management):
    shown = (await management.send("GET", "/models/echo")).json[0]
    assert "modelUrl" not in shown
    assert "customizedMetadata" not in shown
    assert list(shown)[:3] == ["modelName", "modelVersion", "runtime"]


@pytest.mark.parametrize(
    ("target", "request_"),
    [
        ("/models/echo", ScaleWorkers(model_name="echo")),
        (
            "/models/echo?min_worker=1&max_worker=2&synchronous=TRUE&timeout=7&number_gpu=1",
            ScaleWorkers(
                model_name="echo", min_worker=1, max_worker=2, synchronous=True, timeout=7
            ),
        ),
        (
            "/models/echo?min_workers=1&max_workers=2&batch_size=4&max_batch_delay=9",
            ScaleWorkers(
                model_name="echo", min_worker=1, max_worker=2, batch_size=4, max_batch_delay=9
            ),
        ),
        (
            "/models/echo?min_worker=3&min_workers=1",
            ScaleWorkers(model_name="echo", min_worker=3),
        ),
        (
            "/models/echo/1.0?model_version=2.0&min_worker=lots&timeout=abc",
            ScaleWorkers(model_name="echo", model_version="1.0"),
        ),
        (
            "/models/echo?model_version=2.0",
            ScaleWorkers(model_name="echo", model_version="2.0"),
        ),
    ],
)
async def test_scale_reads_both_spellings_and_the_path_beats_the_query(
    management, plane, target, request_
):
    response = await management.send("PUT", target, JSON, b'{"min_worker": 2}')
    assert plane.asked == [request_]
    assert response.status == (200 if request_.synchronous else 202)


async def test_unregister_and_set_default_name_the_version(management, plane):
    await management.send("DELETE", "/models/echo")
    await management.send("DELETE", "/models/echo/all?synchronous=true")
    await management.send("PUT", "/models/echo/2.0/set-default/?min_worker=1")
    assert plane.asked == [
        UnregisterModel(model_name="echo"),
        UnregisterModel(model_name="echo", model_version="all"),
        SetDefaultVersion(model_name="echo", model_version="2.0"),
    ]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/models"),
        ("POST", "/models?url=echo.mar"),
        ("DELETE", "/models/nope"),
        ("DELETE", "/models/echo/1.0"),
    ],
)
async def test_with_the_registration_api_off_models_cannot_be_changed(
    management, plane, method, target
):
    management.gate.model_api = False
    response = await management.send(method, target, JSON, b"broken")
    assert (response.status, response.json["type"]) == (405, "MethodNotAllowedException")
    assert plane.asked == []
    assert (await management.send("PUT", "/models/echo")).status == 202


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "POST"])
async def test_set_default_takes_put_only(management, plane, method):
    response = await management.send(method, "/models/echo/1.0/set-default")
    assert response.status == 405
    assert response.headers["allow"] == "PUT"
    assert plane.asked == []


async def test_kserve_readiness_is_a_management_route(management, plane):
    plane.models["idle"] = {"1.0": "x.mar"}
    assert (await management.send("GET", "/v1/models/echo")).json == {"name": "echo", "ready": True}
    assert (await management.send("GET", "/v1/models/idle")).json["ready"] is False
    assert (await management.send("GET", "/v1/models/echo:anything")).status == 404
    assert (await management.send("POST", "/v1/models/echo")).status == 405
    assert (await management.send("GET", "/v1/models")).status == 404


async def test_an_operation_that_fails_unexpectedly_is_a_500(management, plane, caplog):
    async def register(_):
        raise RuntimeError("secret")

    plane.register = register
    response = await management.send("POST", "/models?url=echo.mar")
    assert (response.status, response.json["type"]) == (500, "InternalServerException")
    assert b"secret" not in response.body
    assert "secret" in caplog.text
