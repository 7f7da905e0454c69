"""What a handler returned, as a v2 response: checked, completed, or wrapped.

Both faces ask here when a client speaks v2 in a way a plain answer could not serve. A JSON object
with a list of ``outputs`` is a response already; anything else becomes its one output.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from flambeau.tensors.datatypes import TensorError, datatype, elements, packed, shown
from flambeau.tensors.json_text import flat, read, written

if TYPE_CHECKING:
    from flambeau.tensors.asked import Asked

WRAPPED = "output-0"
"""Name of the output a plain answer becomes, unless the client asked for one by its name."""
BASE64 = "base64"
"""Value of an output's parameter ``content_type``: its BYTES are base64."""


_ALIKE: tuple[set[type], ...] = ({bool}, {int, float}, {str})
"""Kinds of values that may stand in one tensor."""


class AnswerError(ValueError):
    """The handler's answer is no usable v2 response."""


class NoSuchOutput(ValueError):  # noqa: N818 - named after the situation
    """The client asked for an output that the handler did not give."""


@dataclass(slots=True)
class Output:
    """One output: flat values, as the handler gave them."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]
    parameters: dict[str, Any] = field(default_factory=dict)

    def raw(self) -> bytes:
        """The values as bytes. Raises AnswerError."""
        values = self.octets() if self.datatype == "BYTES" else self.values
        try:
            return packed(self.datatype, values)
        except TensorError as error:
            raise AnswerError(f"output {self.name!r}: {error}") from error

    def octets(self) -> list[bytes]:
        """The values of BYTES: texts in UTF-8, base64 decoded where the handler says so."""
        if self.parameters.get("content_type") != BASE64:
            return [_octets(value) for value in self.values]
        try:
            return [base64.b64decode(value, validate=True) for value in self.values]
        except (binascii.Error, TypeError, ValueError) as error:
            raise AnswerError(f"output {self.name!r} is not base64: {error}") from error

    def document(self) -> dict[str, Any]:
        """The output as JSON shows it."""
        shown: dict[str, Any] = {
            "name": self.name,
            "datatype": self.datatype,
            "shape": self.shape,
        }
        if self.parameters:
            shown["parameters"] = self.parameters
        shown["data"] = self.values
        return shown

    def raw_parameters(self, **more: Any) -> dict[str, Any]:
        """The parameters of the output where its values come as bytes, and ``more``."""
        kept = {key: value for key, value in self.parameters.items() if value != BASE64}
        return {**kept, **more}


@dataclass(slots=True)
class Response:
    """A v2 response."""

    model_name: str
    model_version: str
    id: str
    outputs: list[Output]
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """Who answers, for what the handler leaves out."""

    model_name: str
    model_version: str
    request_id: str

    def response(self, body: bytes, asked: Asked) -> Response:
        """The response in ``body``, with the outputs asked for. Raises AnswerError, NoSuchOutput."""
        try:
            return self._response(_document(body), asked)
        except RecursionError as error:
            raise AnswerError("it is nested too deeply") from error

    def _response(self, found: Any, asked: Asked) -> Response:
        outputs = found.get("outputs") if isinstance(found, dict) else None
        if isinstance(found, dict) and isinstance(outputs, list):
            return Response(
                model_name=_text(found.get("model_name"), self.model_name),
                model_version=_text(found.get("model_version"), self.model_version),
                id=_text(asked.id or found.get("id"), self.request_id),
                outputs=_chosen([_output(each) for each in outputs], asked),
                parameters=_parameters(found),
            )
        name = next(iter(asked.outputs)) if asked.outputs and len(asked.outputs) == 1 else WRAPPED
        return Response(
            self.model_name,
            self.model_version,
            asked.id or self.request_id,
            _chosen([_wrapped(name, found)], asked),
        )


def _document(body: bytes) -> Any:
    """The JSON value in ``body``, or ``body`` itself where it is none."""
    try:
        return read(body)
    except ValueError:
        return bytes(body)


def _output(found: Any) -> Output:
    """An output as a handler gives it; a missing datatype or shape is told from the values."""
    name = found.get("name") if isinstance(found, dict) else None
    if not isinstance(name, str) or "data" not in found:
        raise AnswerError(f"an output has no name or no data: {shown(found)}")
    values = flat(found["data"])
    kind = found.get("datatype")
    shape = found.get("shape")
    try:
        kind = _kind_of(values) if kind is None else datatype(kind).name
        shape = [len(values)] if shape is None else shape
        if elements(shape) != len(values):
            raise TensorError(f"{len(values)} values cannot have the shape {shown(shape)}")  # noqa: TRY301 - completed below, with the name
    except TensorError as error:
        raise AnswerError(f"output {name!r}: {error}") from error
    return Output(name, kind, shape, values, _parameters(found))


def _wrapped(name: str, value: Any) -> Output:
    """A plain answer as one output: numbers and texts as a tensor, anything else as one text."""
    shape = _shape_of(value)
    if shape is not None:
        values = flat(value)
        return Output(name, _kind_of(values), shape, values)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            text = base64.b64encode(value).decode()
            return Output(name, "BYTES", [1], [text], {"content_type": BASE64})
    text = value if isinstance(value, str) else written(value).decode()
    return Output(name, "BYTES", [1], [text])


def _shape_of(value: Any) -> list[int] | None:
    """The shape of a number, or of nested lists of one kind of values; None for what has none."""
    if not isinstance(value, list):
        return [1] if isinstance(value, bool | int | float) else None
    shape: list[int] = []
    level: list[Any] = [value]
    while level and all(isinstance(each, list) for each in level):
        sizes = {len(each) for each in level}
        if len(sizes) > 1:
            return None
        shape += sizes
        level = list(chain.from_iterable(level))
    kinds = set(map(type, level))
    return shape if any(kinds <= each for each in _ALIKE) else None


def _kind_of(values: list[Any]) -> str:
    kinds = set(map(type, values))
    if kinds == {bool}:
        return "BOOL"
    if kinds <= {int} and all(-(1 << 63) <= value < 1 << 63 for value in values):
        return "INT64"
    return "FP64" if kinds <= {int, float} else "BYTES"


def _chosen(outputs: list[Output], asked: Asked) -> list[Output]:
    """The outputs asked for, in the order they were asked."""
    if asked.outputs is None:
        return outputs
    by_name = {each.name: each for each in outputs}
    for name in asked.outputs:
        if name not in by_name:
            there = ", ".join(by_name) or "none"
            raise NoSuchOutput(f"The model gave no output {name!r}; its outputs are: {there}.")
    return [by_name[name] for name in asked.outputs]


def _parameters(found: dict[str, Any]) -> dict[str, Any]:
    parameters = found.get("parameters")
    return parameters if isinstance(parameters, dict) else {}


def _text(value: Any, default: str) -> str:
    return default if value is None or value == "" else str(value)


def _octets(value: Any) -> bytes:
    return value.encode("utf-8", "replace") if isinstance(value, str) else written(value)
