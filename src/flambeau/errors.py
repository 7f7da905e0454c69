"""Every error a client can meet, with its wire name, HTTP status and gRPC code.

    FlambeauError
    ├── BadRequest                  400  a parameter is missing or wrong
    │   └── InvalidModel            400  the archive or its manifest cannot be used
    ├── DownloadFailed              400  a remote archive could not be fetched
    ├── InvalidKey                  400  token missing, wrong or expired
    ├── DependenciesFailed          400  the archive's requirements could not be installed
    ├── DefaultVersionInUse         403  the default version cannot go while others exist
    ├── OnlyHttps                   403  plain HTTP came to an https address
    ├── UnknownPath                 404
    ├── ModelNotFound               404  also: no archive at that url
    ├── ModelVersionNotFound        404
    ├── WorkflowNotFound            404
    ├── MethodNotAllowed            405
    ├── RequestTooSlow              408  head or body did not come in time
    ├── Conflict                    409  that version is registered already
    ├── RequestTooLarge             413  no body
    ├── ExpectationFailed           417  no body
    ├── InternalError               500
    │   ├── VersionNotServed        505  neither HTTP/1.0 nor HTTP/1.1
    │   ├── ArchiveUnreadable       500  the archive could not be unpacked
    │   ├── WorkerStartFailed       500 or 507
    │   ├── WorkerDied              500 or 507
    │   │   └── WorkerTimedOut      500
    │   └── ResponseTooLarge        500
    ├── HandlerFailed               503  the handler raised, or returned something unusable
    ├── OutOfResources              507
    └── Unavailable                 503  with Retry-After
        ├── NoWorker  ├── QueueFull  ├── StillLoading  ├── WorkersFailing
        ├── DeadlineExceeded  ├── ShuttingDown  ├── Unregistered  └── TooManyConnections

The type names are TorchServe's exception names: clients match on them. The two faces
(``rest.replies`` and ``grpc.status``) are the only readers of ``status`` and ``grpc``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class FlambeauError(Exception):
    """An error with a place in the wire contract. ``str(error)`` is the message sent."""

    type_name: ClassVar[str] = "InternalServerException"
    status: int = 500
    grpc: str = "INTERNAL"
    retry_after: int | None = None
    """Seconds to name in a Retry-After header; None leaves the header out."""

    @property
    def message(self) -> str:
        """The sentence a client reads."""
        return str(self)


class BadRequest(FlambeauError):
    """A parameter is missing or wrong."""

    type_name = "BadRequestException"
    status = 400
    grpc = "INVALID_ARGUMENT"


class InvalidModel(BadRequest):
    """The archive or its manifest cannot be used."""

    type_name = "InvalidModelException"


class DownloadFailed(FlambeauError):
    """A remote archive could not be fetched."""

    type_name = "DownloadArchiveException"
    status = 400
    grpc = "INVALID_ARGUMENT"


class InvalidKey(FlambeauError):
    """Token missing, wrong or expired."""

    type_name = "InvalidKeyException"
    status = 400
    grpc = "PERMISSION_DENIED"


class DependenciesFailed(FlambeauError):
    """The requirements an archive brings could not be installed."""

    type_name = "ModelException"
    status = 400
    grpc = "INVALID_ARGUMENT"


class DefaultVersionInUse(FlambeauError):
    """The default version cannot be removed while other versions exist."""

    type_name = "InvalidModelVersionException"
    status = 403
    grpc = "PERMISSION_DENIED"


class OnlyHttps(FlambeauError):
    """A request came without TLS to an address that wants it."""

    type_name = "HttpsRequiredException"
    status = 403
    grpc = "PERMISSION_DENIED"

    def __init__(self, text: str = "This TorchServe instance only accepts HTTPS requests") -> None:
        super().__init__(text)


class UnknownPath(FlambeauError):
    """No endpoint has that path."""

    type_name = "ResourceNotFoundException"
    status = 404
    grpc = "UNIMPLEMENTED"

    def __init__(
        self, text: str = "Requested resource is not found, please refer to API document."
    ) -> None:
        super().__init__(text)


class ModelNotFound(FlambeauError):
    """No model has that name, or no archive lies at that url."""

    type_name = "ModelNotFoundException"
    status = 404
    grpc = "NOT_FOUND"


class ModelVersionNotFound(FlambeauError):
    """The model is known, that version of it is not."""

    type_name = "ModelVersionNotFoundException"
    status = 404
    grpc = "NOT_FOUND"


class WorkflowNotFound(FlambeauError):
    """No workflow has that name."""

    type_name = "WorkflowNotFoundException"
    status = 404
    grpc = "NOT_FOUND"


class MethodNotAllowed(FlambeauError):
    """The path exists, the method does not; also any call that is switched off."""

    type_name = "MethodNotAllowedException"
    status = 405
    grpc = "PERMISSION_DENIED"

    def __init__(
        self, text: str = "Requested method is not allowed, please refer to API document."
    ) -> None:
        super().__init__(text)


class RequestTooSlow(FlambeauError):
    """The head or the body of a request did not come in time."""

    type_name = "RequestTimeoutException"
    status = 408
    grpc = "DEADLINE_EXCEEDED"


class Conflict(FlambeauError):
    """That version of that model is registered already."""

    type_name = "ConflictStatusException"
    status = 409
    grpc = "ABORTED"


class RequestTooLarge(FlambeauError):
    """The body is over ``max_request_size``; sent without a body, as clients expect."""

    type_name = "RequestTooLargeException"
    status = 413
    grpc = "RESOURCE_EXHAUSTED"


class ExpectationFailed(FlambeauError):
    """The Expect header asks for something other than 100-continue."""

    type_name = "ExpectationFailedException"
    status = 417
    grpc = "INVALID_ARGUMENT"


class InternalError(FlambeauError):
    """Something went wrong inside the server or a worker."""


class VersionNotServed(InternalError):
    """The request speaks another version of HTTP than the two that are served."""

    status = 505

    def __init__(self, text: str = "Only HTTP/1.0 and HTTP/1.1 are served on this port.") -> None:
        super().__init__(text)


class ArchiveUnreadable(InternalError):
    """The archive could not be unpacked."""


class WorkerStartFailed(InternalError):
    """No worker of the model could be started; the message ends with the cause."""

    def __init__(self, text: str, *, out_of_memory: bool = False) -> None:
        super().__init__(text)
        self.out_of_memory = out_of_memory
        self.status = 507 if out_of_memory else 500


class WorkerDied(InternalError):
    """The worker ended, or was ended, while it held the request."""

    def __init__(self, text: str = "Worker died.", *, killed: bool = False) -> None:
        super().__init__(text)
        self.status = 507 if killed else 500


class WorkerTimedOut(WorkerDied):
    """A batch outlived ``response_timeout``: its jobs are answered, the worker must go."""


class ResponseTooLarge(InternalError):
    """The handler's answer is over ``max_response_size``."""


class HandlerFailed(FlambeauError):
    """The handler raised, or returned something that cannot be sent."""

    status = 503
    grpc = "UNAVAILABLE"


_GRPC_OF_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Codes of the numbers a handler may name in a PredictionException."""
_GRPC_OF_CLASS = {4: "FAILED_PRECONDITION", 5: "INTERNAL"}


class PredictionFailed(FlambeauError):
    """The handler raised PredictionException with a code of its own."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.status = code
        self.grpc = _GRPC_OF_STATUS.get(code) or _GRPC_OF_CLASS.get(code // 100, "UNKNOWN")


class OutOfResources(FlambeauError):
    """The handler ran out of host or device memory."""

    status = 507


class Unavailable(FlambeauError):
    """The request cannot be taken now; trying again later is sensible."""

    type_name = "ServiceUnavailableException"
    status = 503
    grpc = "UNAVAILABLE"
    retry_after = 1
    reason: ClassVar[str] = "other"
    """Label under which the refused request is counted."""


class NoWorker(Unavailable):
    """The model has no worker."""

    reason = "no_worker"


class QueueFull(Unavailable):
    """The model's queue holds as many jobs as it may."""

    reason = "queue_full"


class StillLoading(Unavailable):
    """The model's workers are still loading and its queue is full."""

    reason = "loading"


class WorkersFailing(Unavailable):
    """Every worker of the model is down and waits for its next try."""

    reason = "workers_failing"


class DeadlineExceeded(Unavailable):
    """The request outlived the time its client gives it."""

    grpc = "DEADLINE_EXCEEDED"
    reason = "deadline"


class ShuttingDown(Unavailable):
    """The server is stopping and takes no new work."""

    reason = "shutting_down"


class Unregistered(Unavailable):
    """The model was unregistered while the request waited."""

    reason = "unregistered"


class TooManyConnections(Unavailable):
    """The listener has as many connections as it may."""

    reason = "connections"

    def __init__(self, text: str = "Too many connections.") -> None:
        super().__init__(text)


class Failure(IntEnum):
    """What a worker says went wrong with a request; travels in a reply."""

    NONE = 0
    HANDLER = 1
    """The handler raised, or returned something that cannot be sent."""
    RESOURCES = 2
    """It ran out of host or device memory."""
    CHOSEN = 3
    """It raised PredictionException, which chose a status of its own."""
    INTERNAL = 4
    """The worker could not send what the handler returned."""


_OF_WORKERS: dict[int, type[FlambeauError]] = {
    Failure.HANDLER: HandlerFailed,
    Failure.RESOURCES: OutOfResources,
    Failure.INTERNAL: InternalError,
}


def failure_of(failure: int, status: int, text: str) -> FlambeauError:
    """The error that a worker's ``failure`` means; ``status`` counts where the handler chose it."""
    kind = _OF_WORKERS.get(failure)
    return PredictionFailed(text, status) if kind is None else kind(text)
