"""A client made of nothing but the API description registers a model, calls it and removes it.

Also: what the description names answers on the real server, and what answers is named in it.
"""

from __future__ import annotations

import json
import re

import httpx
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

ECHO = "def handle(data, context):\n    return data and [bytes(r['body']).decode() for r in data]\n"


class Generated:
    """Methods named after the operations of a description; knows nothing else of the server.

    Arguments are sorted into path, query and header by the description, and checked against its
    schemas, as are the answers.
    """

    def __init__(self, address: str, keys: dict[str, str]) -> None:
        self._address = address
        self._keys = keys
        self.description = httpx.options(address).json()
        self._schemas = self.description["components"]["schemas"]
        self._operations = {
            operation["operationId"]: (method, path, operation)
            for path, item in self.description["paths"].items()
            if "servers" not in item
            for method, operation in item.items()
        }

    def __getattr__(self, name):
        method, path, operation = self._operations[name]

        def call(*, body=None, key=None, **given):
            known = {one["name"]: one for one in operation["parameters"]}
            assert given.keys() <= known.keys(), f"{name} has no {given.keys() - known.keys()}"
            target, query = path, {}
            for one, value in given.items():
                self._check(value, known[one]["schema"])
                spelled = str(value).lower() if isinstance(value, bool) else value
                if known[one]["in"] == "path":
                    target = target.replace("{" + one + "}", str(spelled))
                else:
                    query[one] = spelled
            assert "{" not in target, f"{name} needs more path parameters"
            headers = {}
            if operation.get("security"):
                headers["Authorization"] = f"Bearer {self._keys[key]}"
            answer = httpx.request(
                method,
                self._address + target,
                params=query,
                headers=headers,
                content=body,
                timeout=60,
            )
            described = operation["responses"][str(answer.status_code)]["content"]
            schema = described.get("application/json", {}).get("schema")
            if schema and "application/json" in answer.headers.get("content-type", ""):
                self._check(answer.json(), schema)
            return answer

        return call

    def _check(self, value, schema):
        jsonschema.validate(
            value, json.loads(json.dumps(schema)) | {"components": {"schemas": self._schemas}}
        )


@pytest.fixture
def server(serve):
    return serve({"echo.mar": {"echo.py": ECHO}}, settings={"disable_token_authorization": "false"})


@pytest.fixture
def keys(server):
    document = json.loads((server.folder / "key_file.json").read_text())
    return {kind: one["key"] for kind, one in document.items()}


def test_a_generated_client_registers_calls_scales_and_removes_a_model(server, keys):
    manage = Generated(server.management, keys)
    infer = Generated(server.inference, keys)
    made = manage.registerModel(
        url="echo.mar", model_name="said", initial_workers=1, synchronous=True, key="management"
    )
    assert made.status_code == 200, made.text
    listed = manage.listModels(limit=10, key="management").json()
    assert listed["models"] == [{"modelName": "said", "modelUrl": "echo.mar"}]
    said = infer.predictions(model_name="said", body=b"hello", key="inference")
    assert (said.status_code, said.text) == (200, "hello")
    assert (
        infer.version_predictions(
            model_name="said", model_version="1.0", body=b"again", key="inference"
        ).text
        == "again"
    )
    assert infer.ping(key="inference").json() == {"status": "Healthy"}
    assert infer.readyz().json() == {"status": "Ready"}
    scaled = manage.setAutoScale(
        model_name="said", min_worker=2, synchronous=True, key="management"
    )
    assert scaled.status_code == 200, scaled.text
    (described,) = manage.describeModel(model_name="said", key="management").json()
    assert (described["minWorkers"], len(described["workers"])) == (2, 2)
    assert manage.modelReady(model_name="said", key="management").json()["ready"]
    refused = manage.registerModel(url="echo.mar", model_name="said", key="management")
    assert (refused.status_code, refused.json()["type"]) == (409, "ConflictStatusException")
    gone = manage.unregisterModel(model_name="said", key="management")
    assert gone.status_code == 200
    assert infer.predictions(model_name="said", body=b"x", key="inference").status_code == 404


@pytest.mark.parametrize("api", ["inference", "management", "metrics"])
def test_every_description_is_valid_and_what_it_names_answers(server, keys, api):
    address = getattr(server, api)
    description = httpx.options(address).json()
    assert list(OpenAPIV30SpecValidator(description).iter_errors()) == []
    assert httpx.get(f"{address}/api-description").json() == description
    for path, item in description["paths"].items():
        if "servers" in item:
            continue
        target = address + re.sub(r"\{\w+\}", "nope", path)
        for method, operation in item.items():
            key = keys["API" if path == "/token" else api] if operation.get("security") else ""
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            answer = httpx.request(method, target, headers=headers, timeout=60)
            unknown = answer.status_code == 404 and (
                answer.json().get("type") == "ResourceNotFoundException"
            )
            assert not unknown, path
            assert answer.status_code != 405, path
            assert str(answer.status_code) in operation["responses"], (path, answer.text)


def test_the_page_for_people_is_served_and_shows_the_same_description(server):
    for address in (server.inference, server.management, server.metrics):
        answer = httpx.get(f"{address}/docs")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert 'fetch("/", {method: "OPTIONS"})' in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_description_of_one_model_is_valid_and_leads_to_it(server, keys):
    manage = Generated(server.management, keys)
    assert manage.registerModel(
        url="echo.mar", initial_workers=1, synchronous=True, key="management"
    ).is_success
    key = {"Authorization": f"Bearer {keys['inference']}"}
    description = httpx.options(f"{server.inference}/predictions/echo", headers=key).json()
    assert list(OpenAPIV30SpecValidator(description).iter_errors()) == []
    paths = [
        path for path, item in description["paths"].items() if "post" in item and "{" not in path
    ]
    assert "/predictions/echo" in paths
    for path in paths:
        if "/v2/" in path or "explain" in path or "explanations" in path:
            continue
        answer = httpx.post(server.inference + path, headers=key, content=b"{}")
        assert answer.status_code in {200, 400}, (path, answer.text)
