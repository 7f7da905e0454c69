from __future__ import annotations

import inspect
import re

import pytest

from flambeau import errors
from flambeau.errors import (
    FlambeauError,
    PredictionFailed,
    Unavailable,
    WorkerDied,
    WorkerStartFailed,
)

EVERY = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, FlambeauError)
]
GRPC_CODES = {
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "PERMISSION_DENIED",
    "UNIMPLEMENTED",
    "NOT_FOUND",
    "ABORTED",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
}
TABLE = {
    # class: (wire name, HTTP status, gRPC code)
    "FlambeauError": ("InternalServerException", 500, "INTERNAL"),
    "BadRequest": ("BadRequestException", 400, "INVALID_ARGUMENT"),
    "InvalidModel": ("InvalidModelException", 400, "INVALID_ARGUMENT"),
    "DownloadFailed": ("DownloadArchiveException", 400, "INVALID_ARGUMENT"),
    "InvalidKey": ("InvalidKeyException", 400, "PERMISSION_DENIED"),
    "DependenciesFailed": ("ModelException", 400, "INVALID_ARGUMENT"),
    "DefaultVersionInUse": ("InvalidModelVersionException", 403, "PERMISSION_DENIED"),
    "OnlyHttps": ("HttpsRequiredException", 403, "PERMISSION_DENIED"),
    "UnknownPath": ("ResourceNotFoundException", 404, "UNIMPLEMENTED"),
    "ModelNotFound": ("ModelNotFoundException", 404, "NOT_FOUND"),
    "ModelVersionNotFound": ("ModelVersionNotFoundException", 404, "NOT_FOUND"),
    "WorkflowNotFound": ("WorkflowNotFoundException", 404, "NOT_FOUND"),
    "MethodNotAllowed": ("MethodNotAllowedException", 405, "PERMISSION_DENIED"),
    "RequestTooSlow": ("RequestTimeoutException", 408, "DEADLINE_EXCEEDED"),
    "Conflict": ("ConflictStatusException", 409, "ABORTED"),
    "RequestTooLarge": ("RequestTooLargeException", 413, "RESOURCE_EXHAUSTED"),
    "ExpectationFailed": ("ExpectationFailedException", 417, "INVALID_ARGUMENT"),
    "InternalError": ("InternalServerException", 500, "INTERNAL"),
    "VersionNotServed": ("InternalServerException", 505, "INTERNAL"),
    "ArchiveUnreadable": ("InternalServerException", 500, "INTERNAL"),
    "WorkerStartFailed": ("InternalServerException", 500, "INTERNAL"),
    "WorkerDied": ("InternalServerException", 500, "INTERNAL"),
    "WorkerTimedOut": ("InternalServerException", 500, "INTERNAL"),
    "ResponseTooLarge": ("InternalServerException", 500, "INTERNAL"),
    "HandlerFailed": ("InternalServerException", 503, "UNAVAILABLE"),
    "PredictionFailed": ("InternalServerException", 418, "FAILED_PRECONDITION"),
    "OutOfResources": ("InternalServerException", 507, "INTERNAL"),
    "Unavailable": ("ServiceUnavailableException", 503, "UNAVAILABLE"),
    "NoWorker": ("ServiceUnavailableException", 503, "UNAVAILABLE"),
    "QueueFull": ("ServiceUnavailableException", 503, "UNAVAILABLE"),
    "StillLoading": ("ServiceUnavailableException", 503, "UNAVAILABLE"),
    "WorkersFailing": ("ServiceUnavailableException", 503, "UNAVAILABLE"),
    "DeadlineExceeded": ("ServiceUnavailableException", 503, "DEADLINE_EXCEEDED"),
    "ShuttingDown": ("ServiceUnavailableException", 503, "UNAVAILABLE"),
    "Unregistered": ("ServiceUnavailableException", 503, "UNAVAILABLE"),
    "TooManyConnections": ("ServiceUnavailableException", 503, "UNAVAILABLE"),
}
INTERNAL = "InternalServerException"


def an(error: type[FlambeauError]) -> FlambeauError:
    """An instance with a message."""
    return error("why", 418) if error is PredictionFailed else error("why")


def test_the_table_lists_every_error_and_nothing_else():
    assert {error.__name__ for error in EVERY} == set(TABLE)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)
def test_each_error_has_its_wire_name_status_and_code(error):
    made = an(error)
    assert (made.type_name, made.status, made.grpc) == TABLE[error.__name__]
    assert made.message == str(made) == "why"
    assert made.grpc in GRPC_CODES


def test_wire_names_are_told_apart_by_status_or_shared_by_one_family():
    for name in {row[0] for row in TABLE.values()} - {INTERNAL, "ServiceUnavailableException"}:
        assert sum(row[0] == name for row in TABLE.values()) == 1, name
    assert {row[1] for row in TABLE.values() if row[0] == "ServiceUnavailableException"} == {503}


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)
def test_only_what_can_be_tried_again_names_retry_after(error):
    assert (an(error).retry_after is not None) == issubclass(error, Unavailable)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)
def test_every_error_says_what_it_means(error):
    assert inspect.getdoc(error)
    assert error.__doc__, "a docstring of its own"


@pytest.mark.parametrize(("out_of_memory", "status"), [(True, 507), (False, 500)])
def test_lack_of_memory_while_starting_is_507(out_of_memory, status):
    error = WorkerStartFailed("why", out_of_memory=out_of_memory)
    assert (error.status, error.out_of_memory) == (status, out_of_memory)


def test_a_killed_worker_is_507_and_the_words_are_the_contracts():
    assert WorkerDied(killed=True).status == 507
    assert str(WorkerDied(killed=True)) == str(WorkerDied()) == "Worker died."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.UnknownPath, "Requested resource is not found, please refer to API document."),
        (errors.MethodNotAllowed, "Requested method is not allowed, please refer to API document."),
    ],
)
def test_some_errors_have_a_sentence_of_the_contract(error, text):
    assert error().message == text


def test_a_status_of_one_error_is_not_that_of_its_class():
    WorkerDied(killed=True)
    assert WorkerDied().status == 500


def test_the_tree_in_the_page_head_names_every_error():
    named = set(re.findall(r"[├└]── (\w+)", errors.__doc__))
    unnamed = {error.__name__ for error in EVERY} - named - {"FlambeauError"}
    assert unnamed == {"PredictionFailed"}, "its status is the handler's own"
