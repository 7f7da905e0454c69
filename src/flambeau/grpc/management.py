"""The management service: a message into the control plane's own request, and back.

A blank text and a negative number mean "not given". 0 means it too, except where the message
tells a 0 that was sent from one that was not, and 0 is of use. What a value means and whether it
will do is decided by ``control``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flambeau.control.requests import (
    DescribeModel,
    ListModels,
    RegisterModel,
    ScaleWorkers,
    SetDefaultVersion,
    UnregisterModel,
)
from flambeau.control.views import plain
from flambeau.errors import BadRequest
from flambeau.grpc import management_pb2 as messages
from flambeau.grpc.rpcs import MANAGEMENT, Rpc, Service

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from flambeau.control.views import Outcome
    from flambeau.grpc.rpcs import Call

_ALL = "all"
_MOST_PER_PAGE = 100


def as_text(document: Any) -> str:
    """``document`` as JSON in the contract's layout, without a final newline."""
    return json.dumps(plain(document), indent=2, ensure_ascii=False)


async def list_models(
    call: Call, request: messages.ListModelsRequest
) -> messages.ManagementResponse:
    """One page of the registered models. Numbers out of bounds mean the default."""
    limit = request.limit if request.HasField("limit") else _MOST_PER_PAGE
    asked = ListModels(
        limit=limit if 0 <= limit <= _MOST_PER_PAGE else _MOST_PER_PAGE,
        next_page_token=max(request.next_page_token, 0),
    )
    return messages.ManagementResponse(msg=as_text(call.site.plane.list_models(asked)))


async def describe_model(
    call: Call, request: messages.DescribeModelRequest
) -> messages.ManagementResponse:
    """The default version, the named one, or all."""
    version = request.model_version
    everything = version == _ALL
    asked = DescribeModel(
        model_name=request.model_name,
        model_version=None if everything else version or None,
        all_versions=everything,
        customized=request.customized,
    )
    return messages.ManagementResponse(msg=as_text(await call.site.plane.describe(asked)))


async def register_model(
    call: Call, request: messages.RegisterModelRequest
) -> messages.ManagementResponse:
    """Register a model from an archive."""
    asked = RegisterModel(
        url=_required("url", request.url),
        model_name=request.model_name or None,
        handler=request.handler or None,
        runtime=request.runtime or None,
        batch_size=_positive(request.batch_size),
        max_batch_delay=_sent(request, "max_batch_delay"),
        initial_workers=_sent(request, "initial_workers"),
        synchronous=request.synchronous,
        response_timeout=_positive(request.response_timeout),
        startup_timeout=_positive(request.startup_timeout),
        s3_sse_kms=request.s3_sse_kms,
    )
    return _sentence(await call.site.plane.register(asked))


async def scale_worker(
    call: Call, request: messages.ScaleWorkerRequest
) -> messages.ManagementResponse:
    """Change the number of workers of a version."""
    timeout = _sent(request, "timeout")
    asked = ScaleWorkers(
        model_name=_required("model_name", request.model_name),
        model_version=request.model_version or None,
        min_worker=_sent(request, "min_worker"),
        max_worker=_sent(request, "max_worker"),
        synchronous=request.synchronous,
        timeout=-1 if timeout is None else timeout,
    )
    return _sentence(await call.site.plane.scale(asked))


async def set_default(
    call: Call, request: messages.SetDefaultRequest
) -> messages.ManagementResponse:
    """Make a version the default one."""
    asked = SetDefaultVersion(
        model_name=_required("model_name", request.model_name),
        model_version=_required("model_version", request.model_version),
    )
    return _sentence(await call.site.plane.set_default(asked))


async def unregister_model(
    call: Call, request: messages.UnregisterModelRequest
) -> messages.ManagementResponse:
    """Remove a version."""
    asked = UnregisterModel(
        model_name=_required("model_name", request.model_name),
        model_version=request.model_version or None,
    )
    return _sentence(await call.site.plane.unregister(asked))


SERVICE = Service(
    messages.DESCRIPTOR.services_by_name["ManagementAPIsService"],
    MANAGEMENT,
    (
        Rpc("DescribeModel", describe_model),
        Rpc("ListModels", list_models),
        Rpc("RegisterModel", register_model, writes=True, changes_models=True),
        Rpc("ScaleWorker", scale_worker, writes=True),
        Rpc("SetDefault", set_default, writes=True),
        Rpc("UnregisterModel", unregister_model, writes=True, changes_models=True),
    ),
)


def _sentence(outcome: Outcome) -> messages.ManagementResponse:
    return messages.ManagementResponse(msg=outcome.view.status)


def _required(name: str, value: str) -> str:
    if not value:
        raise BadRequest(f"Parameter {name} is required.")
    return value


def _positive(number: int) -> int | None:
    return number if number > 0 else None


def _sent(request: Message, field: str) -> int | None:
    """The number, 0 included, if the client sent one that is not negative."""
    if not request.HasField(field):
        return None
    number: int = getattr(request, field)
    return number if number >= 0 else None
