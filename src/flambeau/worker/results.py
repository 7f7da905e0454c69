"""From what a handler returned to the bytes and heads of the answers.

Called by ``service`` and ``streaming``. A dict or list becomes exactly the text of
``json.dumps(value, indent=2)``. A status, phrase or header that HTTP cannot carry is dropped
here with a log line, so that it cannot hurt the connection. It never sends.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flambeau.errors import Failure
from flambeau.transport.messages import ReplyHead
from flambeau.worker.failures import LAST_STATUS, Fault

if TYPE_CHECKING:
    from flambeau.transport.messages import JobHead
    from flambeau.worker.context import RequestProcessor

logger = logging.getLogger(__name__)

UNSUPPORTED: Final = "Unsupported model output data type."
FIRST_STATUS: Final = 100

_NO_HEADERS: list[tuple[str, str]] = []
_compact = json.JSONEncoder().encode
_indent = msgspec.json.format
_unsafe = re.compile(r"[\r\n\0\ud800-\udfff]").search


class UnsupportedOutput(TypeError):  # noqa: N818 - named like its siblings in errors
    """The handler returned a value that has no wire form."""


def to_bytes(value: Any) -> bytes | bytearray:
    """The body for one returned value. Raises UnsupportedOutput."""
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return value  # type: ignore[no-any-return]  # seen on the line above
    try:
        if kind is str:
            return value.encode()  # type: ignore[no-any-return]  # seen on the line above
        if isinstance(value, (bytes, bytearray)):
            return value
        if isinstance(value, str):
            return value.encode()
        if _is_tensor(value):
            return _saved(value)
        return _json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedOutput(f"{type(value).__name__} cannot be sent: {error}") from error


def _json(value: Any) -> bytes:
    # The standard encoder is fast only without indentation; the layout is then put in around
    # the tokens it wrote, which stay as they are.
    try:
        return _indent(_compact(value), indent=2).encode()
    except (msgspec.DecodeError, RecursionError):
        return json.dumps(value, indent=2).encode()  # NaN and Infinity are no JSON


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, getattr(torch, "Tensor", ()))


def _saved(tensor: Any) -> bytes:
    buffer = io.BytesIO()
    sys.modules["torch"].save(tensor, buffer)
    return buffer.getvalue()


def plain_answers(
    jobs: list[JobHead], values: list[Any]
) -> tuple[list[ReplyHead], list[bytes | bytearray], int]:
    """Heads and bodies of answers whose status and headers nobody has touched, and the longest size.

    The way nearly every batch goes, hence one loop. Raises UnsupportedOutput.
    """
    heads = []
    blobs: list[bytes | bytearray] = []
    longest = 0
    for job, value in zip(jobs, values, strict=True):
        blob = value if type(value) is bytes else to_bytes(value)
        size = len(blob)
        longest = max(longest, size)
        blobs.append(blob)
        heads.append(ReplyHead(job.id, 200, "", _NO_HEADERS, size))
    return heads, blobs, longest


def shaped_heads(
    jobs: list[JobHead],
    blobs: list[bytes | bytearray],
    processors: list[RequestProcessor],
    mores: list[bool] | None = None,
) -> list[ReplyHead]:
    """Heads of answers with the status, phrase and headers the handler chose.

    ``blobs`` is changed where an answer must be replaced by an error.
    """
    heads = []
    for index, (job, processor) in enumerate(zip(jobs, processors, strict=True)):
        status = processor.get_response_status_code()
        if not isinstance(status, int) or not FIRST_STATUS <= status <= LAST_STATUS:
            text = f"the handler set status {status!r}, which is not in 100..599"
            head, blobs[index] = failed(job, Fault(Failure.INTERNAL, text))
            heads.append(head)
            continue
        heads.append(
            ReplyHead(
                job.id,
                int(status),
                _phrase(processor.get_response_status_phrase()),
                _headers(processor.get_response_headers()),
                len(blobs[index]),
                more=mores is not None and mores[index],
            )
        )
    return heads


def _phrase(phrase: Any) -> str:
    if not phrase:
        return ""
    if _unsafe(str(phrase)):
        logger.warning("reason phrase %r has a line break or no encoding and is dropped", phrase)
        return ""
    return str(phrase)


def _headers(headers: dict[str, str]) -> list[tuple[str, str]]:
    clean = []
    for name, value in headers.items():
        if _unsafe(str(name)) or _unsafe(str(value)):
            logger.warning("header %r: %r has a line break and is dropped", name, value)
        else:
            clean.append((str(name), str(value)))
    return clean


def failed(job: JobHead, fault: Fault) -> tuple[ReplyHead, bytes]:
    """Head and body of an error the server will spell."""
    body = fault.text.encode(errors="replace")
    return ReplyHead(job.id, fault.status, "", [], len(body), fault.failure), body


def nothing(job: JobHead) -> ReplyHead:
    """The last answer to a job that nobody waits for any more."""
    return ReplyHead(job.id, 200, "", _NO_HEADERS, 0)


def limit_sizes(
    jobs: list[JobHead], heads: list[ReplyHead], blobs: list[bytes | bytearray], limit: int
) -> None:
    """Replace every answer over ``limit`` bytes by an error; the others stay."""
    for index, blob in enumerate(blobs):
        if len(blob) > limit:
            text = (
                f"The answer of {len(blob)} bytes is over max_response_size ({limit}). "
                "Raise max_response_size in config.properties or return less."
            )
            heads[index], blobs[index] = failed(jobs[index], Fault(Failure.INTERNAL, text))
