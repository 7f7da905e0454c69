from __future__ import annotations

import re

import pytest

from flambeau.errors import NoWorker, PredictionFailed
from flambeau.jobs.job import Answer
from flambeau.rest.app import MAX_KNOWN
from flambeau.transport.messages import unpack_headers


async def test_a_prediction_is_answered_without_a_phrase_or_a_type(inference):
    response = await inference.send("POST", "/predictions/echo", body=b"x")
    assert (response.status, response.reason, response.body) == (200, "", b"ok")
    assert [name for name, _ in response.pairs] == [
        "x-request-id",
        "Pragma",
        "Cache-Control",
        "Expires",
        "content-length",
        "connection",
    ]
    assert response.headers["connection"] == "keep-alive"


async def test_the_request_id_reaches_the_handler_and_the_log(inference, plane):
    response = await inference.send("POST", "/predictions/echo?q=1", [("x-request-id", "mine")])
    assert plane.jobs[0].request_id == response.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", plane.jobs[0].request_id)
    line = inference.lines[0]
    assert line[:5] == ("/127.0.0.1:5", b"POST", b"/predictions/echo?q=1", "1.1", 200)
    assert line[6] == plane.jobs[0].request_id
    assert inference.counts == [200]


@pytest.mark.parametrize("times", [1, 3])
async def test_headers_keep_case_and_order_and_the_servers_own_come_last(inference, plane, times):
    for _ in range(times):
        await inference.send(
            "POST", "/predictions/echo/1.0/v1/chat", [("X-Probe", "ü"), ("url_path", "forged")]
        )
    assert unpack_headers(plane.jobs[-1].headers) == [
        ("Host", "h"),
        ("X-Probe", "ü"),
        ("url_path", "forged"),
        ("url_path", "v1/chat"),
        ("explain", "False"),
    ]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("target", "own"),
    [
        ("/predictions/echo", {"url_path": "", "explain": "False"}),
        ("/explanations/echo", {"url_path": "", "explain": "True"}),
        ("/explanations/echo/2.0", {"url_path": "", "explain": "True"}),
        ("/v1/models/echo:predict", {"explain": "False"}),
        ("/v1/models/echo%3Aexplain", {"explain": "True"}),
        ("/v2/models/echo/infer", {"explain": "False"}),
        ("/v2/models/echo/explain", {"explain": "True"}),
        ("/invocations?model_name=echo", {}),
        ("/models/echo/invoke", {}),
        ("/echo/predict", {}),
        ("/echo/2.0/predict", {}),
    ],
)
async def test_each_spelling_asks_the_model_and_marks_the_request(
    inference, plane, target, own, times
):
    for _ in range(times):
        assert (await inference.send("PUT", target, body=b"x")).status == 200
    headers = dict(unpack_headers(plane.jobs[-1].headers))
    del headers["Host"]
    assert headers == own


async def test_the_version_in_the_path_is_asked_for(inference):
    response = await inference.send("POST", "/predictions/echo/3.0")
    assert response.status == 404
    assert response.json["type"] == "ModelVersionNotFoundException"
    assert response.json["message"] == "Model version: 3.0 does not exist for model: echo"


@pytest.mark.parametrize(
    ("target", "name"), [("/predictions//1.0", ""), ("/no%20pe/predict", "no pe")]
)
async def test_an_unknown_model_is_not_found(inference, target, name):
    response = await inference.send("POST", target)
    assert response.json["message"] == f"Model not found: {name}"
    assert response.headers["connection"] == "close"


async def test_query_parameters_are_inputs_only_where_they_always_were(inference, plane):
    await inference.send("POST", "/predictions/echo?a=1", body=b"x")
    assert plane.inputs[0] == [("body", "", b"x")]
    for target in ("/echo/predict?a=1&a=2", "/models/echo/invoke?a=1&a=2"):
        for _ in range(2):
            await inference.send("POST", target, [("Content-Type", "text/plain")], b"x")
            assert plane.inputs[-1] == [
                ("a", "", b"1"),
                ("a", "", b"2"),
                ("body", "text/plain", b"x"),
            ]


async def test_invocations_take_the_name_from_the_form(inference, plane):
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    assert (
        await inference.send("POST", "/invocations", form, b"model_name=echo&a=1")
    ).status == 200
    assert plane.inputs[0] == [("model_name", "", b"echo"), ("a", "", b"1")]
    other = await inference.send("POST", "/invocations", form, b"model_name=nope&a=1")
    assert other.json["message"] == "Model not found: nope"


async def test_invocations_fall_back_to_the_only_startup_model(inference, plane):
    missing = await inference.send("POST", "/invocations", body=b"x")
    assert (missing.status, missing.json["message"]) == (400, "Parameter model_name is required.")
    plane.startup = "echo"
    assert (await inference.send("POST", "/invocations", body=b"x")).status == 200
    blank = await inference.send("POST", "/invocations?model_name=", body=b"x")
    assert (blank.status, blank.json["message"]) == (404, "Model not found: ")


async def test_options_describes_the_model_even_when_the_target_is_known(inference):
    for method in ("POST", "OPTIONS"):
        response = await inference.send(method, "/predictions/echo")
    assert response.json["info"]["title"] == "RESTful API for: echo"
    assert (await inference.send("OPTIONS", "/predictions/nope")).status == 404
    named = await inference.send("OPTIONS", "/invocations?model_name=echo")
    assert named.json["info"]["title"] == "RESTful API for: echo"


async def test_known_targets_are_bounded(inference):
    for number in range(MAX_KNOWN + 10):
        await inference.send("POST", f"/predictions/m{number}")
    assert len(inference.app._known) <= MAX_KNOWN
    await inference.send("POST", "/predictions/" + "m" * 300)
    assert not any(len(target) > 256 for target in inference.app._known)


async def test_a_handler_decides_status_phrase_and_headers(inference, plane):
    plane.answer = lambda _: Answer(
        201, "Made", [("content-type", "text/html"), ("X-Mine", "1"), ("Connection", "close")], b"x"
    )
    response = await inference.send("POST", "/predictions/echo")
    assert (response.status, response.reason) == (201, "Made")
    assert response.headers["content-type"] == "text/html"
    assert response.headers["x-mine"] == "1"
    assert response.headers["connection"] == "keep-alive"


async def test_a_handlers_error_status_keeps_its_body_and_closes(inference, plane):
    plane.answer = lambda _: Answer(418, body=b"teapot")
    response = await inference.send("POST", "/predictions/echo")
    assert (response.status, response.body) == (418, b"teapot")
    assert response.headers["connection"] == "close"


async def test_a_status_that_cannot_be_sent_is_an_error(inference, plane):
    plane.answer = lambda _: Answer(700, body=b"x")
    response = await inference.send("POST", "/predictions/echo")
    assert response.status == 500
    assert response.json["message"].startswith("The handler set status 700")


async def test_a_failed_job_is_spelled_as_an_error(inference, plane):
    plane.answer = lambda _: Answer(513, error=PredictionFailed("my own text", 513))
    response = await inference.send("POST", "/predictions/echo")
    assert (response.status, response.reason) == (513, "Server Error (513)")
    assert response.json == {
        "code": 513,
        "type": "InternalServerException",
        "message": "my own text",
    }


async def test_a_refused_job_says_when_to_come_back(inference, plane):
    plane.refusal = NoWorker("none")
    response = await inference.send("POST", "/predictions/echo")
    assert response.status == 503
    assert response.headers["retry-after"] == "1"


async def test_an_unexpected_error_is_a_500_and_leaves_a_trace_in_the_log(inference, plane, caplog):
    plane.refusal = RuntimeError("secret")
    response = await inference.send("POST", "/predictions/echo")
    assert response.status == 500
    assert b"secret" not in response.body
    assert response.headers["x-request-id"] in caplog.text
    assert "secret" in caplog.text


async def test_a_client_that_has_gone_cancels_its_job(inference, plane):
    plane.answer = lambda _: None
    exchange, _ = inference.exchange("POST", "/predictions/echo")
    inference.app(exchange)
    exchange.lose()
    assert plane.jobs[0].cancelled
    plane.jobs[0].answer(Answer(body=b"late"))
    assert inference.lines == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_ping_answers_any_method_on_any_sub_path(inference, method):
    response = await inference.send(method, "/ping/x?y=1")
    assert response.body == b'{\n  "status": "Healthy"\n}\n'
    assert response.headers["content-type"] == "application/json"
    assert (response.status, response.reason) == (200, "OK")


async def test_ping_tells_when_workers_are_missing(inference, plane):
    plane.health = False
    response = await inference.send("GET", "/ping")
    assert (response.status, response.json) == (500, {"status": "Unhealthy"})


async def test_head_gets_the_length_and_no_body(inference):
    response = await inference.send("HEAD", "/ping")
    assert (response.headers["content-length"], response.body) == ("26", b"")
