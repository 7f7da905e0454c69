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
    parameters,
)
from flambeau.control.views import plain
from flambeau.errors import BadRequest
from flambeau.grpc import management_pb2 as messages
from flambeau.grpc.rpcs import MANAGEMENT, Rpc, RpcService

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from flambeau.control.requests import Request
    from flambeau.control.views import Outcome
    from flambeau.grpc.rpcs import RpcCall

_ALL = "all"


def as_text(document: Any) -> str:
    """``document`` as JSON in the contract's layout, without a final newline."""
    return json.dumps(plain(document), indent=2, ensure_ascii=False)


async def list_models(
    call: RpcCall, request: messages.ListModelsRequest
) -> messages.ManagementResponse:
    """One page of the registered models."""
    page = call.site.plane.list_models(_asked(ListModels, request))
    return messages.ManagementResponse(msg=as_text(page))


async def describe_model(
    call: RpcCall, request: messages.DescribeModelRequest
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
    call: RpcCall, request: messages.RegisterModelRequest
) -> messages.ManagementResponse:
    """Register a model from an archive."""
    asked = _asked(RegisterModel, request)
    return _sentence(await call.site.plane.register(asked))


async def scale_worker(
    call: RpcCall, request: messages.ScaleWorkerRequest
) -> messages.ManagementResponse:
    """Change the number of workers of a version."""
    asked = _asked(ScaleWorkers, request)
    return _sentence(await call.site.plane.scale(asked))


async def set_default(
    call: RpcCall, request: messages.SetDefaultRequest
) -> messages.ManagementResponse:
    """Make a version the default one."""
    asked = _asked(SetDefaultVersion, request)
    return _sentence(await call.site.plane.set_default(asked))


async def unregister_model(
    call: RpcCall, request: messages.UnregisterModelRequest
) -> messages.ManagementResponse:
    """Remove a version."""
    asked = _asked(UnregisterModel, request)
    return _sentence(await call.site.plane.unregister(asked))


SERVICE = RpcService(
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


def _asked(kind: type[Request], message: Message) -> Request:
    """The request of that kind, each field from the message's field of its name, if it has one.

    Raises BadRequest for a blank field without which the request means nothing.
    """
    known = {}
    for parameter in parameters(kind):
        name = parameter.name
        value = _given(message, name)
        if value is not None:
            known[name] = value
        elif parameter.required:
            raise BadRequest(f"Parameter {name} is required.")
    return kind(**known)


def _given(message: Message, name: str) -> Any:
    """The value of a field if the message has it and it was given: see the rules above."""
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        return None
    value = getattr(message, name)
    if isinstance(value, bool):
        return value
    if field.has_presence:
        return value if message.HasField(name) and value >= 0 else None
    return value if value and (isinstance(value, str) or value > 0) else None
