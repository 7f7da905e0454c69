"""What a v2 request asks for beside its inputs, and the document a handler gets.

``rest`` reads JSON bodies and bodies with binary tensors here; ``grpc`` builds the same document
from its messages. Handlers always see one form: a dict with ``inputs``, each with ``name``,
``shape``, ``datatype`` and flat ``data``; the values of BYTES that came as bytes are base64.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from flambeau.tensors.datatypes import TensorError, shown, unpacked
from flambeau.tensors.json_text import read, written

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Asked:
    """What the client wants back."""

    id: str = ""
    outputs: dict[str, bool | None] | None = None
    """Names of the wanted outputs, and whether as bytes; None for all of them."""
    binary: bool = False
    """Outputs come as bytes where ``outputs`` does not say."""

    def as_bytes(self, name: str) -> bool:
        """Whether output ``name`` is to come as bytes."""
        chosen = self.outputs.get(name) if self.outputs else None
        return self.binary if chosen is None else chosen


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)


class _Rest(msgspec.Struct):
    """The parts of a request document that are not the handler's alone."""

    inputs: list[msgspec.Raw]
    id: Any = ""
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)


_LENGTH = re.compile(r"[0-9]{1,18}\Z").match
_read_rest = msgspec.json.Decoder(_Rest).decode


def asked_in(body: bytes) -> Asked | None:
    """What a JSON body asks for; None when it asks for nothing or is no v2 request."""
    if b'"outputs"' not in body and b'"binary_data_output"' not in body:
        return None
    try:
        asked = _read_rest(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None  # whatever it is, it is the handler's
    return _asked(asked)


def id_in(body: bytes) -> str:
    """The id of a JSON request; blank when it has none, or is no v2 request."""
    try:
        return _asked(_read_rest(body)).id
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""


def _asked(rest: _Rest) -> Asked:
    wanted = {each.name: each.parameters.get("binary_data") for each in rest.outputs or ()}
    binary = rest.parameters.get("binary_data_output") is True
    return Asked("" if rest.id is None else str(rest.id), wanted or None, binary)


def split(body: bytes, length: str, model_name: str) -> tuple[bytes, Asked]:
    """The document for the handler, and what is asked, of a body with binary tensors.

    ``length`` is what the client says of the JSON in front. Raises TensorError.
    """
    if not _LENGTH(length) or int(length) > len(body):
        raise TensorError(
            f"Inference-Header-Content-Length is {shown(length)}, "
            f"but the body has {len(body)} bytes"
        )
    head = body[: int(length)]
    try:
        asked = _read_rest(head)
        document = read(head)
    except (ValueError, RecursionError) as error:
        raise TensorError(f"the JSON in front of the tensors cannot be read: {error}") from error
    document.setdefault("model_name", model_name)
    _fill(document["inputs"], memoryview(body)[int(length) :])
    _strip(document, "binary_data_output")
    for output in document.get("outputs") or ():
        _strip(output, "binary_data")
    return written(document), _asked(asked)


def _fill(inputs: list[Any], rest: memoryview) -> None:
    """Give the inputs their values out of the bytes behind the document."""
    at = 0
    for tensor in inputs:
        size = _strip(tensor, "binary_data_size")
        if size is None:
            continue
        name = tensor.get("name")
        if type(size) is not int or size < 0 or at + size > len(rest):
            raise TensorError(
                f"input {shown(name)} has binary_data_size {shown(size)}, "
                f"but {len(rest) - at} bytes are left in the body"
            )
        raw = bytes(rest[at : at + size])
        tensor["data"] = for_handler(name, tensor.get("datatype"), tensor.get("shape"), raw)
        at += size
    if at != len(rest):
        raise TensorError(f"{len(rest) - at} bytes of the body belong to no input")


def for_handler(name: Any, datatype: Any, shape: Any, raw: bytes) -> list[Any]:
    """The values of one input that came as bytes. Raises TensorError, naming the input."""
    try:
        values = unpacked(datatype, shape, raw)
    except TensorError as error:
        raise TensorError(f"input {shown(name)}: {error}") from error
    return base64_of(values) if datatype == "BYTES" else values


def base64_of(values: Iterable[bytes]) -> list[str]:
    """BYTES as handlers see them: base64."""
    return [base64.b64encode(value).decode() for value in values]


def _strip(thing: Any, key: str) -> Any:
    """The parameter ``key``, which is then gone, and ``parameters`` with it if nothing is left."""
    if not isinstance(thing, dict):
        raise TensorError(f"{shown(thing)} is no JSON object")
    parameters = thing.get("parameters")
    if not isinstance(parameters, dict):
        return None
    value = parameters.pop(key, None)
    if not parameters:
        del thing["parameters"]
    return value
