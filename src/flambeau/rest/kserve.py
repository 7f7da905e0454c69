"""KServe routes: v1 predict, explain and readiness; v2 infer, explain and server health.

The functions of the ``/v1`` and ``/v2`` rows. Bodies pass through unchanged: the v1 and v2 shapes
are made by the model's envelope in the worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.rest.openapi import describe_model
from flambeau.rest.replies import reply
from flambeau.rest.route import Inference

if TYPE_CHECKING:
    from flambeau.rest.route import Call, Reply, Result

_NOT_IMPLEMENTED = 501


def predict(call: Call) -> Result:
    """``:predict`` and ``/infer`` of the default version."""
    return _default_version(call, "False")


def explain(call: Call) -> Result:
    """``:explain`` and ``/explain`` of the default version."""
    return _default_version(call, "True")


def model_ready(call: Call) -> Reply:
    """Whether the default version of a model has a loaded worker."""
    name = call.path["model_name"]
    return reply({"name": name, "ready": call.site.plane.model_ready(name)})


def server(call: Call) -> Reply:
    """Name, version and extensions of the server. The misspelt key is part of the contract."""
    return reply(
        {
            "name": "Torchserve",
            "version": call.site.server_version,
            "extenstion": ["kserve", "kubeflow"],
        }
    )


def live(_: Call) -> Reply:
    """The server answers, so it lives."""
    return reply({"live": True})


def ready(_: Call) -> Reply:
    """The server accepts requests."""
    return reply({"ready": True})


def versions(_: Call) -> Reply:
    """Versions are not named on these routes."""
    return reply({"error": "Model versioning is not yet supported."}, _NOT_IMPLEMENTED)


def _default_version(call: Call, explain_mark: str) -> Result:
    if call.exchange.method == b"OPTIONS":
        return describe_model(call)
    return Inference(call.path["model_name"], server_headers=(("explain", explain_mark),))
