"""Errors as gRPC spells them."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2

from flambeau import errors
from flambeau.grpc.status import LONGEST, code_of, message_of, shown, text_of

Code = grpc.StatusCode


def every_error(kind=errors.FlambeauError):
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == "flambeau.errors":
            yield from every_error(below)


@pytest.mark.parametrize("kind", sorted(every_error(), key=lambda kind: kind.__name__))
def test_every_error_of_the_table_has_a_code_that_exists(kind):
    assert kind.grpc in Code.__members__


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INVALID_ARGUMENT),
        (401, Code.UNAUTHENTICATED),
        (403, Code.PERMISSION_DENIED),
        (404, Code.NOT_FOUND),
        (409, Code.ABORTED),
        (413, Code.RESOURCE_EXHAUSTED),
        (416, Code.OUT_OF_RANGE),
        (418, Code.FAILED_PRECONDITION),
        (429, Code.RESOURCE_EXHAUSTED),
        (499, Code.CANCELLED),
        (501, Code.UNIMPLEMENTED),
        (502, Code.INTERNAL),
        (503, Code.UNAVAILABLE),
        (504, Code.DEADLINE_EXCEEDED),
        (302, Code.UNKNOWN),
    ],
)
def test_the_number_of_a_prediction_exception_becomes_a_code(status, code):
    assert code_of(errors.PredictionFailed("text", status)) is code


@pytest.mark.parametrize(
    ("error", "second_line"),
    [
        (errors.ModelNotFound("x"), "org.pytorch.serve.archive.model.ModelNotFoundException"),
        (errors.DownloadFailed("x"), "org.pytorch.serve.archive.DownloadArchiveException"),
        (errors.MethodNotAllowed("x"), "org.pytorch.serve.archive.model.ModelException"),
        (errors.BadRequest("x"), "org.pytorch.serve.http.BadRequestException"),
        (errors.WorkerDied("x"), "org.pytorch.serve.http.InternalServerException"),
    ],
)
def test_the_text_is_the_sentence_and_the_name_of_the_class(error, second_line):
    assert text_of(error) == f"x\n{second_line}"


def test_a_refused_key_is_told_in_one_line():
    assert text_of(errors.InvalidKey("no")) == "no"


def test_a_text_that_would_not_fit_into_a_header_is_cut():
    first, second = text_of(errors.InternalError("x" * 100_000)).split("\n")
    assert first == "x" * LONGEST + "..."
    assert second.endswith("InternalServerException")


def test_a_status_within_a_stream_names_code_sentence_and_class():
    status = message_of(errors.ModelNotFound("Model not found: x"))
    reason = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(reason)
    assert (status.code, status.message) == (5, "Model not found: x")
    assert reason.reason == "org.pytorch.serve.archive.model.ModelNotFoundException"


def test_what_is_not_ours_is_hidden():
    assert "secret" not in shown(RuntimeError("secret")).message
