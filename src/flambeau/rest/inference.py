"""Health and the routes that ask a model: which model a request is for, under every spelling.

The functions of the inference rows. They only say whom a request is for (``Inference``);
``rest.app`` makes the job. OPTIONS on any of these routes describes the model instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.errors import BadRequest
from flambeau.rest import payload
from flambeau.rest.openapi import describe_model
from flambeau.rest.replies import reply
from flambeau.rest.route import Inference

if TYPE_CHECKING:
    from flambeau.rest.route import Call, Reply, Result

UNHEALTHY = 500


def ping(call: Call) -> Reply:
    """Whether every model has the workers it should have."""
    if call.site.plane.healthy():
        return reply({"status": "Healthy"})
    return reply({"status": "Unhealthy"}, UNHEALTHY)


def predict(call: Call) -> Result:
    """``/predictions``: the handler learns what follows the version."""
    return _with_url_path(call, explain="False")


def explain(call: Call) -> Result:
    """``/explanations``: as predict, with the explain mark set."""
    return _with_url_path(call, explain="True")


def invoke(call: Call) -> Result:
    """``/models/{name}/invoke``, ``/{name}/predict``: query parameters are inputs too."""
    if call.exchange.method == b"OPTIONS":
        return describe_model(call)
    path = call.path
    return Inference(path["model_name"], path.get("model_version"), with_query=True)


def invocations(call: Call) -> Result:
    """``/invocations``: the name comes from the query, the form, or the sole startup model.

    Raises BadRequest when none of them names a model.
    """
    name = call.query.text("model_name")
    if name is None:
        name = _name_in_form(call) or call.site.plane.sole_startup_model()
    if name is None:
        raise BadRequest("Parameter model_name is required.")
    # The path named no model when the gate was asked: a key may be limited to another one.
    call.site.gate.check("inference", call.authorization, model=name)
    if call.exchange.method == b"OPTIONS":
        call.path["model_name"] = name
        return describe_model(call)
    return Inference(name, with_query=True, remembered=False)


def _with_url_path(call: Call, explain: str) -> Result:
    if call.exchange.method == b"OPTIONS":
        return describe_model(call)
    path = call.path
    headers = (("url_path", path.get("rest", "")), ("explain", explain))
    return Inference(path["model_name"], path.get("model_version"), headers)


def _name_in_form(call: Call) -> str | None:
    content_type = b""
    for key, value in call.exchange.headers:
        if key.lower() == b"content-type":
            content_type = value
    for part in reversed(payload.parts_of(content_type, call.exchange.body)):
        if part.name == "model_name":
            return payload.text_of(part)
    return None
