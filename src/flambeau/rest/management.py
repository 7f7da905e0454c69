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
from flambeau.rest.payload import media_type
from flambeau.rest.replies import reply
from flambeau.security.tokens import AUTHENTICATION_FAILED

if TYPE_CHECKING:
    from flambeau.control.views import Outcome
    from flambeau.rest.query import Query
    from flambeau.rest.route import Call, Reply

_ACCEPTED = 202
_MOST_PER_PAGE = 100


def list_models(call: Call) -> Reply:
    """One page of the registered models."""
    return reply(call.site.plane.list_models(asked_page(call.query)))


def asked_page(query: Query) -> ListModels:
    """Which page of a list is asked for. Numbers out of bounds mean the default."""
    limit = query.integer("limit")
    if limit is None or not 0 <= limit <= _MOST_PER_PAGE:
        limit = _MOST_PER_PAGE
    return ListModels(limit=limit, next_page_token=max(query.integer("next_page_token") or 0, 0))


async def register(call: Call) -> Reply:
    """Register a model; parameters from the query, or all from a JSON body."""
    if _content_type(call) == "application/json":
        request = _register_from_json(b"".join(call.exchange.body))
    else:
        request = _register_from_query(call.query)
    if request.url is None:
        raise BadRequest("Parameter url is required.")
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
    query = call.query
    timeout = query.integer("timeout")
    request = ScaleWorkers(
        model_name=call.path["model_name"],
        model_version=call.path.get("model_version") or query.filled("model_version"),
        min_worker=query.integer("min_worker", "min_workers"),
        max_worker=query.integer("max_worker", "max_workers"),
        synchronous=query.flag("synchronous"),
        timeout=-1 if timeout is None else timeout,
        batch_size=query.integer("batch_size"),
        max_batch_delay=query.integer("max_batch_delay"),
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


def _register_from_query(query: Query) -> RegisterModel:
    return RegisterModel(
        url=query.text("url"),
        model_name=query.filled("model_name"),
        handler=query.filled("handler"),
        runtime=query.text("runtime"),
        batch_size=query.integer("batch_size"),
        max_batch_delay=query.integer("max_batch_delay"),
        initial_workers=query.integer("initial_workers"),
        synchronous=query.flag("synchronous", default=True),
        response_timeout=query.integer("response_timeout"),
        startup_timeout=query.integer("startup_timeout"),
        s3_sse_kms=query.flag("s3_sse_kms"),
        sha256=query.filled("sha256"),
    )


def _register_from_json(body: bytes) -> RegisterModel:
    """The request in a JSON object; null means not given, numbers may be quoted.

    Raises BadRequest for anything that is no object of that shape.
    """
    try:
        document: Any = msgspec.json.decode(body)
        if not isinstance(document, dict):
            raise BadRequest('The JSON body must be an object such as {"url": "model.mar"}.')
        given = {name: value for name, value in document.items() if value is not None}
        request = msgspec.convert(given, RegisterModel, strict=False)
    except msgspec.DecodeError as error:  # ValidationError is one of its kinds
        raise BadRequest(f"The JSON body cannot be used: {error}.") from error
    # A blank name counts as absent, as it does in a query.
    return msgspec.structs.replace(request, model_name=request.model_name or None)
