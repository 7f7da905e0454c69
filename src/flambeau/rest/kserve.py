"""KServe routes: v1 predict, explain and readiness; v2 metadata, health, readiness and infer.

The functions of the ``/v1`` and ``/v2`` rows. What a v2 request asks beyond its JSON is the
business of ``rest.kserve_infer``; the v1 shape is made by the model's envelope in the worker.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from flambeau.errors import FlambeauError
from flambeau.rest.kserve_infer import V2Translation, refused
from flambeau.rest.openapi import describe_model
from flambeau.rest.replies import reply
from flambeau.rest.route import Inference

if TYPE_CHECKING:
    from flambeau.rest.route import Call, Reply, Result

NOT_READY = 503
EXTENSIONS = ["kserve", "kubeflow"]


class ReadyView(msgspec.Struct):
    """Whether a model is ready."""

    name: str
    ready: bool


class NamesView(msgspec.Struct):
    """The names of all registered models."""

    models: list[str]


class ServerView(msgspec.Struct, rename={"misspelt": "extenstion"}):
    """Name, version and extensions of the server."""

    name: str
    version: str
    misspelt: list[str]
    """The contract's spelling; ``extensions`` is the protocol's."""
    extensions: list[str]


class LiveView(msgspec.Struct):
    """The server lives."""

    live: bool


class ServerReadyView(msgspec.Struct):
    """Whether all start-up models are ready."""

    ready: bool


class TensorView(msgspec.Struct):
    """What one tensor of a model looks like."""

    name: str
    datatype: str
    shape: list[int]


class ModelView(msgspec.Struct):
    """A model as the protocol describes it. Archives do not tell their tensors: both lists are empty."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorView]
    outputs: list[TensorView]


def predict(call: Call) -> Result:
    """``:predict`` of the default version."""
    return _default_version(call, "False")


def explain(call: Call) -> Result:
    """``:explain`` and ``/explain`` of the default version."""
    return _default_version(call, "True")


def infer(call: Call) -> Result:
    """``/infer`` of the default version, or of the one the path names.

    A JSON request that asks for nothing more reaches the handler as it came, and so does its
    answer the client.
    """
    if call.exchange.method == b"OPTIONS":
        return describe_model(call)
    name, version = call.path["model_name"], call.path.get("model_version")
    translator = partial(V2Translation, call.site.plane, name, version)
    return Inference(name, version, (("explain", "False"),), translator=translator)


def model_ready(call: Call) -> Reply:
    """Whether the default version of a model has a loaded worker (v1)."""
    name = call.path["model_name"]
    return reply(ReadyView(name, call.site.plane.model_ready(name)))


def models(call: Call) -> Reply:
    """The names of all models (v1)."""
    return reply(NamesView(call.site.plane.names()))


def ready_version(call: Call) -> Reply:
    """Whether one version of a model has a loaded worker (v2); 503 if not."""
    name, version = call.path["model_name"], call.path.get("model_version")
    try:
        is_ready = call.site.plane.model_ready(name, version)
    except FlambeauError as error:
        return refused(error)
    return reply(ReadyView(name, is_ready), 200 if is_ready else NOT_READY)


def model(call: Call) -> Reply:
    """The metadata of a model; ``versions`` holds only the one that the path names, if it does."""
    name, version = call.path["model_name"], call.path.get("model_version")
    plane = call.site.plane
    try:
        if version is not None:
            plane.model_ready(name, version)
        versions = plane.versions(name) if version is None else [version]
    except FlambeauError as error:
        return refused(error)
    return reply(ModelView(name, versions, "", [], []))


def server(call: Call) -> Reply:
    """Name, version and extensions of the server."""
    return reply(
        ServerView(
            "Torchserve",
            call.site.server_version,
            EXTENSIONS,
            [*EXTENSIONS, "binary_tensor_data"],
        )
    )


def live(_: Call) -> Reply:
    """The server answers, so it lives."""
    return reply(LiveView(live=True))


def ready(call: Call) -> Reply:
    """Whether every start-up model has a loaded worker; 503 if not."""
    is_ready = call.site.plane.ready()
    return reply(ServerReadyView(is_ready), 200 if is_ready else NOT_READY)


def _default_version(call: Call, explain_mark: str) -> Result:
    if call.exchange.method == b"OPTIONS":
        return describe_model(call)
    return Inference(call.path["model_name"], server_headers=(("explain", explain_mark),))
