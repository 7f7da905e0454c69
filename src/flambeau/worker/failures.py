"""What goes wrong inside a handler, and what the client is told about it.

``PredictionException`` is the one public name (``ts.utils.util.PredictionException``). The rest
turns an exception into a status and a sentence (``service``) or into a Failed message
(``loading``). It never logs and never sends.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final, NamedTuple

from flambeau.errors import Failure, HandlerFailed
from flambeau.transport.messages import Failed

PREDICTION_FAILED: Final = HandlerFailed.status
INVALID_OUTPUT: Final = "Invalid model predict output"
INTERNAL: Final = 500
FIRST_STATUS: Final = 100
LAST_STATUS: Final = 599


class PredictionException(Exception):  # noqa: N818 - the public name handlers raise
    """Raised by a handler to choose the status and the message its clients get.

    It fails the whole batch. ``error_code`` is the HTTP status; one that is no error status
    (below 400, above 599) becomes 500.
    """

    def __init__(self, message: str, error_code: int = 500) -> None:
        self.message = message
        self.error_code = error_code
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} : {self.error_code}"


class Fault(NamedTuple):
    """What the clients of a batch are told: which failure, in which words.

    ``status`` is the number a handler chose (``Failure.CHOSEN``), else 0.
    """

    failure: Failure
    text: str
    status: int = 0


def told_to_client(error: Exception) -> Fault:
    """What the clients of a batch whose handler raised ``error`` are told.

    The text of an unexpected exception stays in the log: it may hold what others must not see.
    """
    if isinstance(error, PredictionException):
        return Fault(Failure.CHOSEN, str(error.message), _status(error.error_code))
    if isinstance(error, MemoryError) or "CUDA" in _text(error):
        return Fault(Failure.RESOURCES, "Out of resources")
    return Fault(Failure.HANDLER, "Prediction failed")


def _status(code: object) -> int:
    # Each face knows which numbers it can send.
    return int(code) if isinstance(code, int) and FIRST_STATUS <= code <= LAST_STATUS else INTERNAL


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a handler's own __str__ may raise anything
        return ""


def first_line(error: BaseException) -> str:
    """``ValueError: no such label``: type and first line of the text."""
    name = type(error).__name__
    text = _text(error).strip()
    return f"{name}: {text.splitlines()[0]}" if text else name


def loading_failed(error: BaseException, model_dir: str) -> Failed:
    """The message that tells the server why the model could not be loaded."""
    out_of_memory = isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "CUDA" in _text(error)
    )
    return Failed(
        cause=first_line(error),
        where=_innermost(error, model_dir),
        out_of_memory=out_of_memory,
        traceback="".join(traceback.format_exception(error)),
    )


def _innermost(error: BaseException, model_dir: str) -> str:
    """``handler.py:12``: the deepest line of the archive's own code, empty if there is none."""
    root = Path(model_dir).resolve()
    if isinstance(error, SyntaxError) and error.filename:
        own = _inside(error.filename, root)
        if own:
            return f"{own}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        own = _inside(frame.filename, root)
        if own:
            return f"{own}:{frame.lineno}"
    return ""


def _inside(filename: str, root: Path) -> str:
    path = Path(filename).resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else ""
