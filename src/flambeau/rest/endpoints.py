"""THE table of endpoints: every path this server answers, one row each, aliases included.

The router, the Allow header of a 405, the OpenAPI documents, the reference page and the walk of
routes by token are all made from these rows. Adding an endpoint is one row here, one function and
one recorded case. Rows that come first win.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from flambeau import errors
from flambeau.control.requests import (
    OTHER_SPELLINGS,
    DescribeModel,
    ListModels,
    RegisterModel,
    ScaleWorkers,
    SetDefaultVersion,
    UnregisterModel,
)
from flambeau.control.views import ModelDescription, ModelPage, StatusView
from flambeau.rest import browse, health, inference, kserve, management, metrics, openapi, workflows
from flambeau.rest.route import Api, Endpoint, Key, When

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flambeau.rest.route import Function


_INFERENCE = (Api.INFERENCE,)
_MANAGEMENT = (Api.MANAGEMENT,)
_METRICS = (Api.METRICS,)
_PROBED = (Api.INFERENCE, Api.MANAGEMENT)

_MODEL = "/models/{model_name}"
_VERSION = "/models/{model_name}/{model_version}"
_V2_MODEL = "/v2/models/{model_name}"
_V2_VERSION = "/v2/models/{model_name}/versions/{model_version}"

_WORKFLOW = "/workflows/{workflow_name}"
_NO_WORKFLOW: dict[str, Any] = {
    "errors": (errors.InvalidKey, errors.WorkflowNotFound),
    "succeeds": False,
}

_FINDING = (errors.ModelNotFound, errors.ModelVersionNotFound)
_PREDICTING = (
    errors.BadRequest,
    errors.InvalidKey,
    *_FINDING,
    errors.RequestTooLarge,
    errors.InternalError,
    errors.WorkerDied,
    errors.HandlerFailed,
    errors.Unavailable,
    errors.OutOfResources,
)
_REGISTERING = (
    errors.BadRequest,
    errors.InvalidModel,
    errors.DownloadFailed,
    errors.DependenciesFailed,
    errors.InvalidKey,
    errors.ModelNotFound,
    errors.MethodNotAllowed,
    errors.Conflict,
    errors.ArchiveUnreadable,
    errors.WorkerStartFailed,
    errors.ShuttingDown,
)

_ANY_BODY = "The handler's input: raw, JSON, text, or a form."
_IGNORED = "Accepted for compatibility; has no effect."


class RenewedKey(msgspec.Struct):
    """The new key, also written to the key file."""

    status: str
    key: str


def _asking(path: str, operation: str, function: Function, sentence: str, **more: Any) -> Endpoint:
    """A row that asks a model. Any method will do; OPTIONS describes the model instead."""
    return Endpoint(
        (),
        path,
        _INFERENCE,
        operation,
        function,
        sentence,
        Key.INFERENCE,
        errors=_PREDICTING,
        body=_ANY_BODY,
        content_type="*/*",
        **more,
    )


def _telling(
    path: str, operation: str, function: Function, sentence: str, gives: type, **more: Any
) -> Endpoint:
    """A row of KServe that tells about the server or a model."""
    return Endpoint(
        more.pop("methods", ("GET",)),
        path,
        _INFERENCE,
        operation,
        function,
        sentence,
        Key.INFERENCE,
        gives=gives,
        errors=(errors.InvalidKey, *more.pop("errors", ())),
        **more,
    )


def _managing(
    method: str, path: str, operation: str, function: Function, sentence: str, **more: Any
) -> Endpoint:
    """A row of the management API."""
    return Endpoint(
        (method,), path, _MANAGEMENT, operation, function, sentence, Key.MANAGEMENT, **more
    )


_DESCRIBING: dict[str, Any] = {
    "takes": DescribeModel,
    "query": ("customized",),
    "gives": list[ModelDescription],
    "errors": (errors.InvalidKey, *_FINDING, errors.HandlerFailed, errors.Unavailable),
}
_SCALING: dict[str, Any] = {
    "takes": ScaleWorkers,
    "query": tuple(
        name for name in ScaleWorkers.__struct_fields__ if not name.startswith("model_")
    ),
    "spellings": {
        **{spelling: f"Another spelling of {name}." for name, spelling in OTHER_SPELLINGS.items()},
        "number_gpu": _IGNORED,
    },
    "gives": StatusView,
    "accepted": True,
    "errors": (errors.BadRequest, errors.InvalidKey, *_FINDING, errors.WorkerStartFailed),
}
_UNREGISTERING: dict[str, Any] = {
    "takes": UnregisterModel,
    "spellings": {"synchronous": _IGNORED, "timeout": _IGNORED},
    "gives": StatusView,
    "changes_models": True,
    "errors": (
        errors.InvalidKey,
        errors.DefaultVersionInUse,
        *_FINDING,
        errors.MethodNotAllowed,
    ),
}
_SHOWING: dict[str, Any] = {"errors": (errors.InvalidKey, *_FINDING)}

# fmt: off
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(("OPTIONS",), "/", tuple(Api), "apiDescription", openapi.describe_api,
             "The OpenAPI document of this listener."),
    Endpoint((), "/api-description", tuple(Api), "api-description", openapi.describe_api,
             "The same document, under its older path."),

    Endpoint(("GET", "HEAD"), "/docs", tuple(Api), "docs", browse.page,
             "A page to read this API on and to try it.", content_type="text/html"),
    Endpoint(("GET", "HEAD"), "/livez", _PROBED, "livez", health.live,
             "Whether the server lives: 200 whenever it answers.", gives=StatusView),
    Endpoint(("GET", "HEAD"), "/readyz", _PROBED, "readyz", health.ready,
             "Whether every start-up model has a worker that has answered within the last second; "
             "503 with the reasons if not.", gives=health.ReadyzView, refusal=health.NOT_READY),

    Endpoint((), "/ping", _INFERENCE, "ping", inference.ping,
             "Whether every model has the workers it should have; 500 and Unhealthy if not.",
             Key.INFERENCE, gives=StatusView, errors=(errors.InvalidKey,), open_path=True,
             refusal=inference.UNHEALTHY),
    _asking("/v1/models/{model_name}:predict", "v1_predictions", kserve.predict,
            "Predict with the default version (KServe v1)."),
    _asking("/v1/models/{model_name}:explain", "v1_explanations", kserve.explain,
            "Explain with the default version (KServe v1)."),
    _asking(_V2_MODEL + "/infer", "v2_predictions", kserve.infer,
            "Infer with the default version (KServe v2): JSON, or binary tensors behind it."),
    _asking(_V2_VERSION + "/infer", "v2_version_predictions",
            kserve.infer, "Infer with one version (KServe v2)."),
    _asking(_V2_MODEL + "/explain", "v2_explanations", kserve.explain,
            "Explain with the default version (KServe v2)."),
    _asking("/predictions/{model_name}", "predictions", inference.predict,
            "Predict with the default version."),
    _asking("/predictions/{model_name}/{model_version}", "version_predictions", inference.predict,
            "Predict with one version. What follows it reaches the handler as url_path.",
            open_path=True),
    _asking("/explanations/{model_name}", "explanations", inference.explain,
            "Explain with the default version."),
    _asking("/explanations/{model_name}/{model_version}", "version_explanations",
            inference.explain,
            "Explain with one version. What follows it reaches the handler as url_path.",
            open_path=True),
    _asking("/invocations", "invocations", inference.invocations,
            "Predict with the model that the query or the form names, or with the only one loaded "
            "at start-up. Query parameters are inputs too.",
            spellings={"model_name": "The model; its default version answers."}),
    _asking("/models/{model_name}/invoke", "invoke", inference.invoke,
            "Predict with the default version. Query parameters are inputs too."),
    _asking("/{model_name}/predict", "predict", inference.invoke,
            "Predict with the default version. Query parameters are inputs too."),
    _asking("/{model_name}/{model_version}/predict", "version_predict", inference.invoke,
            "Predict with one version. Query parameters are inputs too."),
    Endpoint((), "/wfpredict/{workflow_name}", _INFERENCE, "wfpredict", workflows.not_found,
             "Workflows are not served yet: always 404.", Key.INFERENCE, **_NO_WORKFLOW,
             body=_ANY_BODY),
    _telling("/v2", "serverMetadata", kserve.server, "Name, version and extensions of the server.",
             kserve.ServerView, methods=()),
    _telling("/v2/health/live", "serverLive", kserve.live, "Whether the server lives.",
             kserve.LiveView, methods=()),
    _telling("/v2/health/ready", "serverReady", kserve.ready,
             "Whether every start-up model is ready; 503 if not.", kserve.ServerReadyView,
             methods=(), refusal=kserve.NOT_READY),
    _telling(_V2_MODEL, "modelMetadata", kserve.model, "Versions of a model (KServe v2).",
             kserve.ModelView, errors=_FINDING),
    _telling(_V2_VERSION, "versionMetadata", kserve.model, "One version of a model (KServe v2).",
             kserve.ModelView, errors=_FINDING),
    _telling(_V2_MODEL + "/ready", "v2_modelReady", kserve.ready_version,
             "Whether a model has a loaded worker (KServe v2); 503 if not.", kserve.ReadyView,
             errors=_FINDING, refusal=kserve.NOT_READY),
    _telling(_V2_VERSION + "/ready", "v2_versionReady", kserve.ready_version,
             "Whether one version has a loaded worker (KServe v2); 503 if not.", kserve.ReadyView,
             errors=_FINDING, refusal=kserve.NOT_READY),

    _managing("GET", "/models", "listModels", management.list_models,
              "One page of the registered models, sorted by name.", takes=ListModels,
              query=("limit", "next_page_token"), gives=ModelPage, errors=(errors.InvalidKey,)),
    _managing("POST", "/models", "registerModel", management.register,
              "Register one version of a model. Parameters come from the query, or all from a JSON "
              "object.", takes=RegisterModel, query=RegisterModel.__struct_fields__,
              gives=StatusView, errors=_REGISTERING, accepted=True, json_body=True,
              changes_models=True),
    _managing("GET", _MODEL, "describeModel", management.describe,
              "Describe the default version.", **_DESCRIBING),
    _managing("PUT", _MODEL, "setAutoScale", management.scale,
              "Change the workers or the batching of the default version.",
              **{**_SCALING, "query": ("model_version", *_SCALING["query"])}),
    _managing("DELETE", _MODEL, "unregisterModel", management.unregister,
              "Remove the default version, if it is the only one.", **_UNREGISTERING),
    _managing("OPTIONS", _MODEL, "apiDescriptionOfModel", openapi.describe_model,
              "The management API of one model.", **_SHOWING),
    _managing("GET", _VERSION, "version_describeModel", management.describe,
              "Describe one version, or all of them where the version is the word all.",
              **_DESCRIBING),
    _managing("PUT", _VERSION, "version_setAutoScale", management.scale,
              "Change the workers or the batching of one version.", **_SCALING),
    _managing("DELETE", _VERSION, "version_unregisterModel", management.unregister,
              "Remove one version.", **_UNREGISTERING),
    _managing("OPTIONS", _VERSION, "version_apiDescriptionOfModel", openapi.describe_model,
              "The management API of one model.", **_SHOWING),
    _managing("PUT", _VERSION + "/set-default", "setDefault", management.set_default,
              "Make one version the default one.", takes=SetDefaultVersion, gives=StatusView,
              errors=(errors.InvalidKey, *_FINDING)),
    Endpoint(("GET",), "/v1/models/{model_name}", _PROBED, "modelReady", kserve.model_ready,
             "Whether a model has a loaded worker (KServe v1).", Key.LISTENER,
             gives=kserve.ReadyView, errors=(errors.InvalidKey, errors.ModelNotFound)),
    _telling("/v1/models", "v1_models", kserve.models, "Names of all models (KServe v1).",
             kserve.NamesView, names_all=True),
    _managing("GET", "/workflows", "listWorkflows", workflows.list_workflows,
              "One page of the registered workflows: none, since workflows are not served yet.",
              takes=ListModels, query=("limit", "next_page_token"), gives=workflows.WorkflowPage,
              errors=(errors.InvalidKey,)),
    _managing("GET", _WORKFLOW, "describeWorkflow", workflows.not_found,
              "Workflows are not served yet: always 404.", **_NO_WORKFLOW),
    _managing("DELETE", _WORKFLOW, "unregisterWorkflow", workflows.not_found,
              "Workflows are not served yet: always 404.", **_NO_WORKFLOW),
    Endpoint((), "/token", _MANAGEMENT, "renewToken", management.renew_token,
             "Replace a key; the old one dies at once.", Key.TOKENS, when=When.TOKENS,
             spellings={"type": "Which key: management or inference."}, gives=RenewedKey,
             errors=(errors.InvalidKey,)),

    Endpoint((), "/metrics", _METRICS, "metrics", metrics.scrape,
             "All metrics in the Prometheus text format.", open_path=True,
             spellings={"name[]": "Only the family of this name; repeatable."},
             content_type="text/plain"),
)
# fmt: on


def served(apis: Iterable[Api], conditions: Iterable[When]) -> tuple[Endpoint, ...]:
    """The rows of a listener: those of its APIs whose condition, if they have one, holds."""
    wanted, holding = set(apis), set(conditions)
    return tuple(
        row
        for row in ENDPOINTS
        if wanted.intersection(row.apis) and (row.when is None or row.when in holding)
    )


def elsewhere(apis: Iterable[Api]) -> tuple[Endpoint, ...]:
    """The rows that belong in every API description although another listener may serve them."""
    return (
        () if Api.METRICS in apis else tuple(row for row in ENDPOINTS if row.operation == "metrics")
    )
