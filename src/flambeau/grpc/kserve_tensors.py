"""Tensors of the Open Inference Protocol: messages to the handler's document, responses to messages.

``grpc.kserve`` calls it for every inference. What a handler sees is what REST gives it; what
differs is only how values travel: typed fields, or raw bytes for all tensors of a message.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flambeau.grpc import open_inference_pb2 as messages
from flambeau.tensors.answers import AnswerError
from flambeau.tensors.asked import Asked, base64_of, for_handler
from flambeau.tensors.datatypes import TensorError, datatype
from flambeau.tensors.json_text import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flambeau.tensors.answers import Output, Response

    Parameters = Mapping[str, messages.InferParameter]
    Spelling = Callable[[Output], list[bytes]]

FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where typed values stand; FP16 and BF16 have no such field and are always raw."""


def document(request: messages.ModelInferRequest) -> bytes:
    """The JSON document a handler gets. Raises TensorError, naming the input at fault."""
    raws = request.raw_input_contents
    if raws and len(raws) != len(request.inputs):
        raise TensorError(
            f"raw_input_contents has {len(raws)} entries for {len(request.inputs)} inputs"
        )
    found: dict[str, Any] = {"id": request.id, "model_name": request.model_name}
    if request.model_version:
        found["model_version"] = request.model_version
    if request.parameters:
        found["parameters"] = _plain(request.parameters)
    found["inputs"] = [
        _input(tensor, raws[index] if raws else None) for index, tensor in enumerate(request.inputs)
    ]
    if request.outputs:
        found["outputs"] = [_requested(output) for output in request.outputs]
    return written(found)


def asked(request: messages.ModelInferRequest) -> Asked:
    """What the client wants back."""
    wanted: dict[str, bool | None] = {output.name: None for output in request.outputs}
    return Asked(request.id, wanted or None, binary=bool(request.raw_input_contents))


def message(response: Response, *, raw: bool, spell: Spelling) -> messages.ModelInferResponse:
    """The response to send, its values as bytes if ``raw`` or if there is no other way.

    ``spell`` gives the values of a BYTES output. Raises AnswerError.
    """
    raw = raw or any(output.datatype not in FIELDS for output in response.outputs)
    try:
        return _message(response, spell, raw=raw)
    except AnswerError:
        raise
    except (TypeError, ValueError) as error:  # a text or a number that protobuf cannot hold
        raise AnswerError(str(error)) from error


def _message(response: Response, spell: Spelling, *, raw: bool) -> messages.ModelInferResponse:
    found = messages.ModelInferResponse(
        model_name=response.model_name, model_version=response.model_version, id=response.id
    )
    _fill(found.parameters, response.parameters)
    for output in response.outputs:
        tensor = found.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        _fill(tensor.parameters, output.raw_parameters())
        if raw:
            found.raw_output_contents.append(output.raw())
        elif output.values:
            values = spell(output) if output.datatype == "BYTES" else output.values
            _set(tensor, output, values)
    return found


def spelled(output: Output) -> list[bytes]:
    """BYTES as they are."""
    return output.octets()


def quoted(output: Output) -> list[bytes]:
    """BYTES as TorchServe sends them: the JSON text of each value."""
    return [json.dumps(value, ensure_ascii=False).encode() for value in output.values]


def _input(
    tensor: messages.ModelInferRequest.InferInputTensor, raw: bytes | None
) -> dict[str, Any]:
    shape = list(tensor.shape)
    found: dict[str, Any] = {"name": tensor.name, "shape": shape, "datatype": tensor.datatype}
    if tensor.parameters:
        found["parameters"] = _plain(tensor.parameters)
    if raw is not None:
        found["data"] = for_handler(tensor.name, tensor.datatype, shape, raw)
        return found
    try:
        kind = datatype(tensor.datatype).name
    except TensorError as error:
        raise TensorError(f"input {tensor.name!r}: {error}") from error
    if kind not in FIELDS:
        raise TensorError(f"input {tensor.name!r}: {kind} is sent as raw_input_contents")
    values = getattr(tensor.contents, FIELDS[kind])
    found["data"] = base64_of(values) if kind == "BYTES" else list(values)
    return found


def _requested(
    output: messages.ModelInferRequest.InferRequestedOutputTensor,
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": output.name}
    if output.parameters:
        found["parameters"] = _plain(output.parameters)
    return found


def _plain(parameters: Parameters) -> dict[str, Any]:
    found = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = getattr(parameter, choice) if choice else None
    return found


def _fill(parameters: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        parameter = parameters[name]
        if isinstance(value, bool):
            parameter.bool_param = value
        elif isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
            parameter.int64_param = value
        elif isinstance(value, float):
            parameter.double_param = value
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            parameter.string_param = text


def _set(
    tensor: messages.ModelInferResponse.InferOutputTensor, output: Output, values: Iterable[Any]
) -> None:
    try:
        getattr(tensor.contents, FIELDS[output.datatype]).extend(values)
    except (TypeError, ValueError) as error:
        raise AnswerError(
            f"output {output.name!r}: a value does not fit {output.datatype}: {error}"
        ) from error
