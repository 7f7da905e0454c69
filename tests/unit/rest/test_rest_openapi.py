from __future__ import annotations

import json

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from flambeau.rest.endpoints import ENDPOINTS
from flambeau.rest.route import Api
from flambeau.security.gate import Gate
from flambeau.security.tokens import Tokens

SETS = [(Api.INFERENCE,), (Api.MANAGEMENT,), (Api.METRICS,), tuple(Api)]


def operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict)
    }


def parameters(operation):
    return {f"{one['name']} in {one['in']}" for one in operation["parameters"]}


@pytest.mark.parametrize("apis", SETS, ids="+".join)
@pytest.mark.parametrize("guarded", [False, True])
async def test_a_listeners_document_is_valid_and_names_every_row(listen, tmp_path, apis, guarded):
    gate = Gate(Tokens(tmp_path / "key_file.json")) if guarded else Gate.off()
    listener = listen(*apis, gate=gate, elsewhere_url="http://127.0.0.1:8082")
    document = (await listener.send("OPTIONS", "/")).json
    assert list(OpenAPIV30SpecValidator(document).iter_errors()) == []
    assert document == (await listener.send("POST", "/api-description/")).json
    served = {
        f"{row.shown} {row.path}"
        for row in ENDPOINTS
        if set(row.apis) & set(apis) and (guarded or row.operation != "renewToken")
    }
    assert set(operations(document)) == served | {"GET /metrics"}
    secured = {name for name, one in operations(document).items() if "security" in one}
    expected = {f"{r.shown} {r.path}" for r in ENDPOINTS if r.key} & served if guarded else set()
    assert secured == expected


async def test_metrics_are_shown_with_the_address_that_serves_them(listen):
    listener = listen(Api.MANAGEMENT, elsewhere_url="http://127.0.0.1:8082")
    document = (await listener.send("OPTIONS", "/")).json
    assert document["paths"]["/metrics"]["servers"] == [{"url": "http://127.0.0.1:8082"}]
    assert document["info"]["title"] == "TorchServe APIs"
    assert document["openapi"] == "3.0.1"


async def test_parameters_are_those_that_are_read(management):
    found = operations((await management.send("OPTIONS", "/")).json)
    assert parameters(found["GET /models"]) == {"limit in query", "next_page_token in query"}
    assert {"url in query", "s3_sse_kms in query", "sha256 in query"} < parameters(
        found["POST /models"]
    )
    assert parameters(found["PUT /models/{model_name}/{model_version}"]) == {
        "model_name in path",
        "model_version in path",
        "min_worker in query",
        "max_worker in query",
        "min_workers in query",
        "max_workers in query",
        "number_gpu in query",
        "synchronous in query",
        "timeout in query",
        "batch_size in query",
        "max_batch_delay in query",
    }
    assert parameters(found["DELETE /models/{model_name}"]) == {
        "model_name in path",
        "synchronous in query",
        "timeout in query",
    }


async def test_schemas_tell_types_defaults_and_what_may_be_absent(management):
    document = (await management.send("OPTIONS", "/")).json
    found = operations(document)["POST /models"]["parameters"]
    synchronous = next(one for one in found if one["name"] == "synchronous")
    assert synchronous["schema"] == {"type": "boolean", "default": True}
    assert synchronous["description"]
    url = next(one for one in found if one["name"] == "url")
    assert url["schema"] == {"type": "string"}
    schemas = document["components"]["schemas"]
    assert "nextPageToken" not in schemas["ModelPage"]["required"]
    assert "null" not in json.dumps(schemas)


@pytest.mark.parametrize("name", ["echo", "a b"])
async def test_a_models_document_is_valid_and_names_it(listen, plane, name):
    plane.models[name] = {"1.0": "x.mar"}
    target = name.replace(" ", "%20")
    inference = (await listen(Api.INFERENCE).send("OPTIONS", f"/predictions/{target}/1.0")).json
    management = (await listen(Api.MANAGEMENT).send("OPTIONS", f"/models/{target}")).json
    assert inference["info"]["title"] == f"RESTful API for: {name}"
    assert management["info"]["title"] == f"RESTful Management API for: {name}"
    for document in (inference, management):
        assert list(OpenAPIV30SpecValidator(document).iter_errors()) == []
    assert f"POST /predictions/{target}" in operations(inference)
    assert f"POST /v1/models/{target}:predict" in operations(inference)
    assert "PUT /models/{model_name}/{model_version}/set-default" in operations(management)
    assert "GET /models" not in operations(management)


async def test_a_document_of_an_unknown_model_is_not_found(management):
    assert (await management.send("OPTIONS", "/models/nope")).status == 404
    assert (await management.send("OPTIONS", "/models/echo/9.9")).status == 404
    assert (await management.send("OPTIONS", "/models/echo/all")).status == 200


async def test_a_document_is_made_once_and_each_model_has_its_own(management, plane):
    plane.models["other"] = {"1.0": "x.mar"}
    targets = ["/", "/models/echo", "/models/other", "/models/echo/2.0"]
    first = [(await management.send("OPTIONS", target)).json for target in targets]
    assert [(await management.send("OPTIONS", target)).json for target in targets] == first
    assert len(management.app._site.documents) == 3
    assert first[1] != first[2]
    assert (await management.send("OPTIONS", "/models/nope")).status == 404
