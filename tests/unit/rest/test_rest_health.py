from __future__ import annotations

import json

import pytest

from flambeau.control.readiness import Lack
from flambeau.rest.route import Api
from flambeau.security.gate import Gate
from flambeau.security.tokens import Tokens

LACKS = [Lack("digits 1.0", "it is loading"), Lack("broken.mar", "it could not be registered: no")]


@pytest.mark.parametrize("api", [Api.INFERENCE, Api.MANAGEMENT])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_server_that_answers_lives_and_is_ready_when_nothing_lacks(listen, api, method):
    listener = listen(api)
    for target, word in (("/livez", "Live"), ("/readyz", "Ready")):
        response = await listener.send(method, target)
        assert response.status == 200
        if method == "GET":
            assert response.json == {"status": word}


async def test_what_lacks_is_named_with_its_reason(inference, plane):
    plane.lacks = LACKS
    response = await inference.send("GET", "/readyz")
    assert response.status == 503
    assert response.json == {
        "status": "Not ready",
        "lacking": 2,
        "reasons": [
            {"model": "digits 1.0", "reason": "it is loading"},
            {"model": "broken.mar", "reason": "it could not be registered: no"},
        ],
    }
    assert (await inference.send("GET", "/livez")).status == 200


@pytest.mark.parametrize(
    ("api", "apis"),
    [
        (Api.INFERENCE, [Api.INFERENCE]),
        (Api.MANAGEMENT, [Api.MANAGEMENT]),
        (Api.MANAGEMENT, list(Api)),
    ],
)
async def test_who_shows_no_key_learns_no_names(listen, plane, tmp_path, api, apis):
    plane.lacks = LACKS
    listener = listen(*apis, gate=Gate(Tokens(tmp_path / "key_file.json")))
    keys = json.loads((tmp_path / "key_file.json").read_text())
    for headers in ([], [("Authorization", "Bearer wrong")]):
        response = await listener.send("GET", "/readyz", headers)
        assert response.status == 503
        assert response.json == {"status": "Not ready", "lacking": 2}
    right = [("Authorization", f"Bearer {keys[str(api)]['key']}")]
    assert len((await listener.send("GET", "/readyz", right)).json["reasons"]) == 2


async def test_the_probes_are_not_there_on_the_metrics_listener(listen):
    for target in ("/livez", "/readyz"):
        assert (await listen(Api.METRICS).send("GET", target)).status == 404
    response = await listen(Api.INFERENCE).send("POST", "/readyz")
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
