"""Errors as gRPC spells them: a code, a text of two lines, or a ``google.rpc.Status``.

``calls`` ends failed calls through here, ``inference`` fills the status field of sequences. It is
the only place of this face where an error meets a code. The first line of the text is the sentence
of the REST answer; the second is the class name of the original, which some clients match on.
"""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from flambeau.errors import FlambeauError, InternalError, InvalidKey

Code = grpc.StatusCode

_MODEL = "org.pytorch.serve.archive.model."
_CLASSES = {
    "DownloadArchiveException": "org.pytorch.serve.archive.DownloadArchiveException",
    "InvalidModelException": f"{_MODEL}InvalidModelException",
    "MethodNotAllowedException": f"{_MODEL}ModelException",
    "ModelException": f"{_MODEL}ModelException",
    "ModelNotFoundException": f"{_MODEL}ModelNotFoundException",
    "ModelVersionNotFoundException": f"{_MODEL}ModelVersionNotFoundException",
    "WorkflowNotFoundException": "org.pytorch.serve.archive.workflow.WorkflowNotFoundException",
}
"""Exceptions of the original that are not in its package for HTTP."""

LONGEST = 2000
"""Characters of a message that are sent: it travels in a header, and clients bound those."""
UNEXPECTED = "The server met an unexpected condition; its log has the cause under this request id."


def code_of(error: FlambeauError) -> grpc.StatusCode:
    """The code of an error, which the table of errors names."""
    return grpc.StatusCode.__members__[error.grpc]


def class_of(error: FlambeauError) -> str:
    """The full name of the original's exception."""
    return _CLASSES.get(error.type_name, f"org.pytorch.serve.http.{error.type_name}")


def text_of(error: FlambeauError) -> str:
    """What the client reads: the message, and the class name on a line of its own."""
    if isinstance(error, InvalidKey):
        return error.message  # one line, as it always was
    message = error.message
    if len(message) > LONGEST:
        message = f"{message[:LONGEST]}..."
    return f"{message}\n{class_of(error)}"


def message_of(error: FlambeauError) -> status_pb2.Status:
    """The error as a message within a stream that goes on."""
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=class_of(error)))
    number, _ = code_of(error).value
    return status_pb2.Status(code=number, message=error.message, details=[detail])


def shown(error: BaseException) -> FlambeauError:
    """``error`` as a client may see it: whatever is not ours becomes a plain INTERNAL."""
    return error if isinstance(error, FlambeauError) else InternalError(UNEXPECTED)
