"""The request envelope of the KServe v2 (Open Inference) protocol.

The handler gets the inputs of all requests, one row per input tensor, its ``data`` in the
tensor's shape, and returns one output for each. No numpy or torch is needed; their arrays are
understood.
"""

from __future__ import annotations

import base64
from itertools import islice
from math import prod
from typing import Any

from flambeau.handlers.envelopes import BaseEnvelope, dealt, document, listed

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
}


class KServev2Envelope(BaseEnvelope):
    """``{"id", "inputs": [...]}`` in, ``{"id", "model_name", …, "outputs": [...]}`` out."""

    def parse_input(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The inputs of all requests, in order."""
        requests = [_inputs(row) for row in data]
        ids = self.context.request_ids or {}
        self._ids = [one.get("id") or ids.get(index) for index, one in enumerate(requests)]
        self._names = [[tensor["name"] for tensor in one["inputs"]] for one in requests]
        first_names = self._names[0] if self._names else []
        self.context.input_names = first_names
        self.context.input_request_id = self._ids[0] if self._ids else None
        return [_shaped(tensor) for one in requests for tensor in one["inputs"]]

    def format_output(self, data: Any) -> list[dict[str, Any]]:
        """One response object per request."""
        values = list(data)
        parts = (
            [values]
            if len(self._names) == 1
            else dealt(values, [len(names) for names in self._names])
        )
        model = (self.context.manifest or {}).get("model") or {}
        return [
            {
                "id": request_id,
                "model_name": self.context.model_name,
                "model_version": model.get("modelVersion"),
                "outputs": _outputs(names, part),
            }
            for request_id, names, part in zip(self._ids, self._names, parts, strict=True)
        ]


def _inputs(row: Any) -> dict[str, Any]:
    found = document(row)
    if not isinstance(found, dict) or not isinstance(found.get("inputs"), list):
        raise ValueError(  # noqa: TRY004 - a wrong request, not a wrong argument
            'the request is no JSON object of the form {"inputs": [...]}'
        )
    for tensor in found["inputs"]:
        missing = {"name", "datatype", "data"} - set(tensor)
        if missing:
            raise ValueError(f"an input lacks {', '.join(sorted(missing))}")
    return found


def _shaped(tensor: dict[str, Any]) -> dict[str, Any]:
    """The input with its data nested as its shape says; of BYTES the first element."""
    flat = list(_flat(tensor["data"]))
    if tensor["datatype"] == "BYTES":
        return {**tensor, "data": flat[0] if flat else ""}
    shape = list(tensor.get("shape") or [len(flat)])
    if shape.count(-1) == 1:
        known = -prod(shape)
        shape[shape.index(-1)] = len(flat) // known if known else 0
    if prod(shape) != len(flat):
        raise ValueError(
            f"input {tensor['name']}: {len(flat)} values cannot have the shape {tensor['shape']}"
        )
    return {**tensor, "data": _nested(flat, shape)}


def _flat(values: Any) -> Any:
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flat(value)
    else:
        yield values


def _nested(flat: list[Any], shape: list[int]) -> Any:
    for size in reversed(shape[1:]):
        values = iter(flat)
        flat = [list(islice(values, size)) for _ in range(len(flat) // size if size else 0)]
    return flat


def _outputs(names: list[str], values: list[Any]) -> list[dict[str, Any]]:
    if len(values) > len(names):
        raise ValueError(f"the handler returned {len(values)} outputs for {len(names)} inputs")
    outputs = []
    for name, value in zip(names, values, strict=False):
        flat = [_plain(one) for one in _flat(listed(value) if _is_array(value) else value)]
        outputs.append(
            {"name": name, "datatype": _datatype(value, flat), "data": flat, "shape": [len(flat)]}
        )
    return outputs


def _is_array(value: Any) -> bool:
    return hasattr(value, "tolist") and bool(getattr(value, "shape", ()))


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return value.item() if hasattr(value, "item") else value


def _datatype(value: Any, flat: list[Any]) -> str:
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        return DATATYPES.get(str(dtype).removeprefix("torch."), "BYTES")
    if all(isinstance(one, bool) for one in flat):
        return "BOOL"
    if all(isinstance(one, int) for one in flat):
        return "INT64"
    if all(isinstance(one, (int, float)) for one in flat):
        return "FP64"
    return "BYTES"
