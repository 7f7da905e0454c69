"""Request envelopes: what stands between a request's body and the handler.

Chosen by ``service_envelope``; ``worker.loading`` puts one around the handler's entry point. Every
envelope takes batches of any size: the rows of all requests go to the handler as one batch and
its answers are dealt out again. Describe requests pass untouched.
"""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Any

from flambeau.worker.failures import INVALID_OUTPUT, PREDICTION_FAILED, PredictionException

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flambeau.worker.context import Context


class BaseEnvelope(ABC):
    """What every envelope has: a handler, and a way there and back."""

    context: Any = None

    def __init__(self, handle_fn: Callable[[Any, Any], Any]) -> None:
        self._handle_fn = handle_fn

    def handle(self, data: list[Any] | None, context: Context) -> Any:
        """The answers to a batch, one for each request."""
        self.context = context
        if not data or context.get_request_header(0, "describe") == "True":
            return self._handle_fn(data, context)
        return self.format_output(self._handle_fn(self.parse_input(data), context))

    @abstractmethod
    def parse_input(self, data: list[dict[str, Any]]) -> Any:
        """What the handler gets for the rows of a batch."""

    @abstractmethod
    def format_output(self, data: Any) -> list[Any]:
        """The answers for what the handler returned."""


class BodyEnvelope(BaseEnvelope):
    """The handler sees payloads, not dicts."""

    def parse_input(self, data: list[dict[str, Any]]) -> list[Any]:
        """One payload per request."""
        return [payload(row) for row in data]

    def format_output(self, data: Any) -> Any:
        """What the handler returned."""
        return data


class JSONEnvelope(BaseEnvelope):
    """``{"instances": [...]}`` in, ``{"predictions": [...]}`` out, as a JSON text."""

    _lengths: Sequence[int] = ()

    def parse_input(self, data: list[dict[str, Any]]) -> list[Any]:
        """The instances of all requests, their base64 values decoded."""
        batches = [[_decoded(one) for one in instances(row)] for row in data]
        self._lengths = [len(batch) for batch in batches]
        return [one for batch in batches for one in batch]

    def format_output(self, data: Any) -> list[str]:
        """One JSON text per request."""
        parts = dealt(listed(data), self._lengths)
        return [json.dumps({"predictions": part}) for part in parts]


class KServeEnvelope(BaseEnvelope):
    """KServe v1: ``{"instances": [...]}`` in, ``{"predictions"|"explanations": ...}`` out."""

    _lengths: Sequence[int] = ()

    def parse_input(self, data: list[dict[str, Any]]) -> list[Any]:
        """The instances of all requests."""
        for row in data:
            found = document(row)
            if isinstance(found, dict) and "instances" not in found:
                # Clients of KServe v1 know this answer to a document of another protocol.
                raise PredictionException(INVALID_OUTPUT, PREDICTION_FAILED)
        batches = [instances(row) for row in data]
        self._lengths = [len(batch) for batch in batches]
        return [one for batch in batches for one in batch]

    def format_output(self, data: Any) -> list[dict[str, Any]]:
        """One dict per request."""
        key = "explanations" if self._is_explain() else "predictions"
        values = listed(data)
        if len(self._lengths) == 1:
            return [{key: values}]  # alone, a handler may return as many as it likes
        return [{key: part} for part in dealt(values, self._lengths)]

    def _is_explain(self) -> bool:
        return bool(self.context.get_request_header(0, "explain") == "True")


def payload(row: Any) -> Any:
    """The one input of a request: its ``data``, or else its ``body``."""
    if not isinstance(row, dict):
        return row
    value = row.get("data")
    return row.get("body") if value is None else value


def document(row: Any) -> Any:
    """The JSON document of a request, parsed if it is still text. Raises ValueError."""
    value = payload(row)
    if isinstance(value, (bytes, bytearray, str)):
        return json.loads(value)
    return value


def instances(row: Any) -> list[Any]:
    """The ``instances`` of a request. Raises ValueError when there are none."""
    found = document(row)
    if not isinstance(found, dict) or not isinstance(found.get("instances"), list):
        raise ValueError(  # noqa: TRY004 - a wrong request, not a wrong argument
            'the request is no JSON object of the form {"instances": [...]}'
        )
    return list(found["instances"])


def _decoded(instance: Any) -> Any:
    if not isinstance(instance, dict):
        return instance
    if set(instance) == {"b64"}:
        return base64.b64decode(instance["b64"])
    return {
        name: base64.b64decode(value["b64"])
        if isinstance(value, dict) and set(value) == {"b64"}
        else value
        for name, value in instance.items()
    }


def listed(values: Any) -> list[Any]:
    """``values`` as a list; arrays and tensors give their elements."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    return list(values)


def dealt(values: list[Any], lengths: Sequence[int]) -> list[list[Any]]:
    """``values`` cut into parts of these lengths.

    A handler that answered once per request is accepted too. Raises ValueError otherwise.
    """
    if len(values) != sum(lengths):
        if len(values) == len(lengths):
            return [[value] for value in values]
        raise ValueError(
            f"the handler returned {len(values)} answers for {sum(lengths)} instances "
            f"of {len(lengths)} requests"
        )
    left = iter(values)
    return [list(islice(left, length)) for length in lengths]
