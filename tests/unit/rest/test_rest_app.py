from __future__ import annotations

import asyncio
import json
from time import monotonic

import pytest

from flambeau.http.refusal import Refusal, RequestLine, Why
from flambeau.rest.endpoints import ENDPOINTS
from flambeau.rest.route import Api, Key, When
from flambeau.security.gate import Gate
from flambeau.security.grants import parse_grants
from flambeau.security.tokens import Tokens

REFUSED = "Token Authorization failed. Token either incorrect, expired, or not provided correctly"


@pytest.fixture
def keys(tmp_path):
    """A gate with fresh tokens, and the Authorization header of each key."""
    gate = Gate(Tokens(tmp_path / "key_file.json"))

    def header(kind):
        document = json.loads((tmp_path / "key_file.json").read_text())
        return [("Authorization", f"Bearer {document[kind]['key']}")]

    return gate, header


@pytest.mark.parametrize(
    ("target", "status", "type_name"),
    [
        ("/nothing", 404, "ResourceNotFoundException"),
        ("//models", 404, "ResourceNotFoundException"),
        ("http://h/models", 404, "ResourceNotFoundException"),
        ("*", 400, "BadRequestException"),
        ("/models/a%4", 400, "BadRequestException"),
        ("/models?limit=%zz", 400, "BadRequestException"),
        ("/", 405, "MethodNotAllowedException"),
    ],
)
async def test_odd_targets_are_refused_and_the_connection_closes(
    management, target, status, type_name
):
    response = await management.send("GET", target)
    assert (response.status, response.json["type"]) == (status, type_name)
    assert response.headers["connection"] == "close"
    assert management.counts == [status]


async def test_errors_carry_the_cors_headers(listen):
    cors = [("Access-Control-Allow-Origin", "https://app.example")]
    listener = listen(Api.INFERENCE, cors=cors)
    for target in ("/ping", "/nothing", "/predictions/echo"):
        response = await listener.send("GET", target)
        assert response.headers["access-control-allow-origin"] == "https://app.example"


async def test_each_listener_serves_its_own_apis(listen, plane):
    assert (await listen(Api.METRICS).send("GET", "/models")).status == 404
    assert (await listen(Api.INFERENCE).send("GET", "/metrics")).status == 404
    both = listen(Api.INFERENCE, Api.MANAGEMENT)
    assert (await both.send("GET", "/models")).status == 200
    assert (await both.send("POST", "/models/echo/invoke")).status == 200
    assert (await both.send("GET", "/ping")).status == 200


async def test_metrics_are_scraped_with_any_method_on_any_sub_path(listen):
    class Source:
        def exposition(self, names):
            yield ",".join(names[:1]).encode()
            yield ",".join(["", *names[1:]]).encode() if names else b""

    listener = listen(Api.METRICS, metrics=Source())
    response = await listener.send("DELETE", "/metrics/x/y?name%5B%5D=A&name[]=B")
    assert response.body == b"A,B"
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (await listener.send("GET", "/metrics")).body == b""


@pytest.mark.parametrize("known", [False, True])
async def test_a_prediction_needs_the_inference_key_each_time(listen, plane, keys, known):
    gate, header = keys
    listener = listen(Api.INFERENCE, gate=gate)
    if known:
        assert (await listener.send("POST", "/predictions/echo", header("inference"))).status == 200
    for headers in ([], header("management"), [("Authorization", "Bearer wrong")]):
        for _ in range(2):
            response = await listener.send("POST", "/predictions/echo", headers)
            assert (response.status, response.json["message"]) == (400, REFUSED)
    assert (await listener.send("POST", "/predictions/echo", header("inference"))).status == 200


async def test_a_renewed_key_ends_the_old_one_at_once(listen, keys):
    gate, header = keys
    inference, management = listen(Api.INFERENCE, gate=gate), listen(Api.MANAGEMENT, gate=gate)
    old = header("inference")
    assert (await inference.send("GET", "/predictions/echo", old)).status == 200
    renewed = await management.send("GET", "/token?type=inference", header("API"))
    assert renewed.status == 200
    assert (await inference.send("GET", "/predictions/echo", old)).status == 400
    new = [("Authorization", f"Bearer {renewed.json['key']}")]
    assert new == header("inference")
    assert (await inference.send("GET", "/predictions/echo", new)).status == 200


@pytest.mark.parametrize(
    ("query", "kind"),
    [("?type=management", "management"), ("?type=MANAGEMENT", "API"), ("", "API")],
)
async def test_renewal_needs_the_right_key_and_a_known_kind(listen, keys, query, kind):
    gate, header = keys
    response = await listen(Api.MANAGEMENT, gate=gate).send("GET", f"/token{query}", header(kind))
    assert (response.status, response.json["type"]) == (400, "InvalidKeyException")
    assert response.json["message"].startswith("Token Authentication failed.")


LIMITED = b'[{"name": "one", "key": "%s", "allow": ["inference"], "models": ["echo"]}]'


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_a_key_for_one_model_opens_no_other_however_it_is_named(listen, plane, method):
    plane.models["other"] = {"1.0": "x.mar"}
    gate = Gate(Tokens(None, grants=parse_grants(LIMITED % (b"k" * 40), "here")))
    listener = listen(Api.INFERENCE, gate=gate)
    key = ("Authorization", "Bearer " + "k" * 40)
    form = ("Content-Type", "application/x-www-form-urlencoded")
    for name, status in (("echo", 200), ("other", 400)):
        for target, headers, body in (
            (f"/predictions/{name}", [key], b""),
            (f"/v1/models/{name}:predict", [key], b'{"instances": [1]}'),
            (f"/models/{name}/invoke", [key], b""),
            (f"/invocations?model_name={name}", [key], b""),
            ("/invocations", [key, form], b"model_name=" + name.encode()),
        ):
            for _ in range(2):
                answer = await listener.send(method, target, headers, body)
                assert answer.status == status, target
    assert (await listener.send("GET", "/v1/models", [key])).status == 400
    assert (await listener.send("GET", "/ping", [key])).status == 200


async def test_without_tokens_there_is_nothing_to_renew(management):
    assert (await management.send("GET", "/token?type=inference")).status == 404


async def test_a_model_named_like_the_renewal_path_is_just_a_model(listen, plane, keys):
    gate, header = keys
    plane.models["token"] = {"1.0": "x.mar"}
    listener = listen(Api.MANAGEMENT, gate=gate)
    response = await listener.send("GET", "/models/token?x=/token", header("management"))
    assert response.status == 200


@pytest.mark.parametrize("target", ["/nothing", "/models/nope", "/models"])
async def test_without_a_key_nothing_tells_what_exists(listen, keys, target):
    gate, header = keys
    listener = listen(Api.MANAGEMENT, gate=gate)
    assert (await listener.send("PATCH", target)).json["type"] == "InvalidKeyException"
    assert (await listener.send("PATCH", target, header("management"))).status in (404, 405)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("OPTIONS", "/", 200), ("GET", "/", 405), ("GET", "/api-description", 200)],
)
async def test_the_root_needs_no_key(listen, keys, method, target, status):
    for api in (Api.INFERENCE, Api.MANAGEMENT):
        assert (await listen(api, gate=keys[0]).send(method, target)).status == status


async def test_on_a_shared_address_each_key_opens_its_api(listen, keys):
    gate, header = keys
    both = listen(Api.INFERENCE, Api.MANAGEMENT, gate=gate)
    assert (await both.send("GET", "/models", header("management"))).status == 200
    assert (await both.send("GET", "/ping", header("inference"))).status == 200
    assert (await both.send("GET", "/models", header("inference"))).status == 400
    assert (await both.send("GET", "/nothing", header("inference"))).status == 404
    assert (await both.send("GET", "/nothing", header("management"))).status == 404
    assert (await both.send("GET", "/nothing")).status == 400


@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: row.operation)
async def test_every_guarded_row_refuses_a_call_without_its_key(listen, keys, row):
    listener = listen(*Api, gate=keys[0])
    path = row.path.replace("{model_name}", "echo").replace("{model_version}", "1.0")
    response = await listener.send(row.shown, path)
    if row.key is Key.NONE:
        assert response.status == 200
    else:
        assert (response.status, response.json["type"]) == (400, "InvalidKeyException")


def test_rows_with_a_condition_are_known():
    assert {row.when for row in ENDPOINTS if row.when} == set(When)


async def test_closing_cancels_what_still_runs(management, plane):
    started, ended = asyncio.Event(), asyncio.Event()

    async def register(_):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    plane.register = register
    exchange, _ = management.exchange("POST", "/models?url=echo.mar")
    management.app(exchange)
    await started.wait()
    await management.app.close()
    assert ended.is_set()
    assert not exchange.answered


def test_what_never_became_a_request_is_refused_in_the_same_form(inference):
    refusal = Refusal(Why.MALFORMED, "/127.0.0.1:5", RequestLine(b"GET", b"/", "1.1"), monotonic())
    status, phrase, headers, body = inference.app._desk.refuse(refusal)
    assert (status, phrase) == (400, "Bad Request")
    assert headers.startswith(b"content-type: application/json\r\nx-request-id: ")
    assert json.loads(body) == {
        "code": 400,
        "type": "BadRequestException",
        "message": "Invalid HTTP message.",
    }


@pytest.mark.parametrize("why", list(Why))
def test_every_refusal_is_logged_and_counted_once_with_its_status(inference, why):
    asked = RequestLine(b"GET", b"/a", "1.1")
    refusal = Refusal(why, "/127.0.0.1:5", asked, monotonic() - 2.5)
    status = inference.app._desk.refuse(refusal).status
    (line,) = inference.lines
    assert line[:5] == ("/127.0.0.1:5", b"GET", b"/a", "1.1", status)
    assert 2500 <= line[5] < 60_000
    assert inference.counts == [status]


@pytest.mark.parametrize("why", [Why.TOO_LARGE, Why.EXPECTATION])
def test_what_is_refused_by_its_head_gets_a_status_and_nothing_else(inference, why):
    refusal = Refusal(why, "", RequestLine(b"GET", b"/", "1.1"), monotonic())
    assert inference.app._desk.refuse(refusal)[2:] == (b"", b"")
