from __future__ import annotations

import pytest

from flambeau.rest.route import Api
from flambeau.security.gate import Gate
from flambeau.security.tokens import Tokens

ORIGIN = "https://app.example"
CORS = [
    ("Access-Control-Allow-Origin", ORIGIN),
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
]


def asking(origin=ORIGIN, method="POST"):
    return [("Origin", origin), ("Access-Control-Request-Method", method)]


@pytest.mark.parametrize(
    ("api", "target"),
    [
        (Api.INFERENCE, "/predictions/echo"),
        (Api.INFERENCE, "/predictions/nope"),
        (Api.MANAGEMENT, "/models"),
        (Api.MANAGEMENT, "/nothing"),
        (Api.METRICS, "/metrics"),
    ],
)
async def test_a_preflight_is_answered_without_a_token_and_tells_only_the_settings(
    listen, plane, tmp_path, api, target
):
    gate = Gate(Tokens(tmp_path / "key_file.json"))
    response = await listen(api, gate=gate, cors=CORS).send("OPTIONS", target, asking())
    assert (response.status, response.body) == (204, b"")
    for name, value in CORS:
        assert response.headers[name.lower()] == value
    assert response.headers["connection"] == "keep-alive"
    assert "content-type" not in response.headers
    assert plane.asked == plane.jobs == []


async def test_any_origin_may_ask_where_the_setting_is_a_star(listen):
    listener = listen(Api.MANAGEMENT, cors=[("Access-Control-Allow-Origin", "*")])
    assert (await listener.send("OPTIONS", "/models", asking("https://any.example"))).status == 204


@pytest.mark.parametrize(
    ("cors", "headers"),
    [
        (None, asking()),
        ([("Access-Control-Allow-Methods", "GET")], asking()),
        (CORS, asking("https://other.example")),
        (CORS, [("Origin", ORIGIN)]),
        (CORS, [("Access-Control-Request-Method", "POST")]),
    ],
    ids=["no settings", "no origin set", "other origin", "no method asked", "no origin asked"],
)
async def test_what_is_no_preflight_for_us_is_an_ordinary_request(listen, cors, headers):
    listener = listen(Api.MANAGEMENT, cors=cors)
    assert (await listener.send("OPTIONS", "/models", headers)).status == 405
    described = await listener.send("OPTIONS", "/", headers)
    assert (described.status, described.json["openapi"]) == (200, "3.0.1")
