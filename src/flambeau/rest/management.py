"""Models and tokens: a management request into the control plane's own request, and back.

The functions of the management rows. They read parameters and spell answers; what a value means
and whether it will do is decided by ``control``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flambeau.control.requests import (
    DescribeModel,
    ListModels,
    RegisterModel,
    ScaleWorkers,
    SetDefaultVersion,
    UnregisterModel,
)
from flambeau.errors import BadRequest, InvalidKey
from flambeau.rest.asked import asked
from flambeau.rest.payload import media_type
from flambeau.rest.replies import reply
from flambeau.security.tokens import AUTHENTICATION_FAILED

if TYPE_CHECKING:
    from flambeau.control.views import Outcome
    from flambeau.rest.route import Call, Reply

_ACCEPTED = 202


def list_models(call: Call) -> Reply:
    """One page of the registered models."""
    return reply(call.site.plane.list_models(asked(ListModels, call.query)))


async def register(call: Call) -> Reply:
    """Register a model; parameters from the query, or all from a JSON body."""
    if _content_type(call) == "application/json":
        request = _register_from_json(b"".join(call.exchange.body))
    else:
        request = asked(RegisterModel, call.query)
    return _outcome(await call.site.plane.register(request))


async def describe(call: Call) -> Reply:
    """Describe the default version, a named one, or all."""
    version = call.path.get("model_version")
    everything = version == "all"
    request = DescribeModel(
        model_name=call.path["model_name"],
        model_version=None if everything else version,
        all_versions=everything,
        customized=call.query.flag("customized"),
    )
    headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in call.exchange.headers]
    return reply(await call.site.plane.describe(request, headers))


async def scale(call: Call) -> Reply:
    """Change workers or batching of a live version."""
    version = call.path.get("model_version") or call.query.filled("model_version")
    request = asked(
        ScaleWorkers, call.query, model_name=call.path["model_name"], model_version=version
    )
    return _outcome(await call.site.plane.scale(request))


async def unregister(call: Call) -> Reply:
    """Remove a version."""
    request = UnregisterModel(
        model_name=call.path["model_name"], model_version=call.path.get("model_version")
    )
    return _outcome(await call.site.plane.unregister(request))


async def set_default(call: Call) -> Reply:
    """Make a version the default one."""
    request = SetDefaultVersion(
        model_name=call.path["model_name"], model_version=call.path["model_version"]
    )
    return _outcome(await call.site.plane.set_default(request))


def renew_token(call: Call) -> Reply:
    """A new management or inference key; the old one dies at once."""
    tokens = call.site.gate.tokens
    if tokens is None:
        raise InvalidKey(AUTHENTICATION_FAILED)
    kind = call.query.text("type") or ""
    key = tokens.rotate(kind)
    return reply({"status": f"The {kind} key was renewed.", "key": key})


def _outcome(outcome: Outcome) -> Reply:
    return reply(outcome.view, _ACCEPTED if outcome.accepted else 200)


def _content_type(call: Call) -> str:
    for key, value in call.exchange.headers:
        if key.lower() == b"content-type":
            return media_type(value.decode("latin-1")).lower()
    return ""


def _register_from_json(body: bytes) -> RegisterModel:
    """The request in a JSON object; null means not given, numbers may be quoted.

    Raises BadRequest for anything that is no object of that shape.
    """
    try:
        document: Any = msgspec.json.decode(body)
        if not isinstance(document, dict):
            raise BadRequest('The JSON body must be an object such as {"url": "model.mar"}.')
        given = {name: value for name, value in document.items() if value is not None}
        return msgspec.convert(given, RegisterModel, strict=False)
    except msgspec.DecodeError as error:  # ValidationError is one of its kinds
        raise BadRequest(f"The JSON body cannot be used: {error}.") from error
