"""What tritonclient makes of a server: prints one JSON object. Runs in an environment of its own.

    python triton_script.py http|grpc HOST:PORT

Tensors come back as the model ``mirror`` got them; ``asked`` says how they were sent.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from queue import Queue

import ml_dtypes
import numpy as np
from tritonclient.utils import InferenceServerException

SENT = {
    "BOOL": np.array([[True, False], [False, True]]),
    "INT8": np.array([-128, 127], np.int8),
    "INT16": np.array([-32768, 32767], np.int16),
    "INT32": np.array([-(2**31), 2**31 - 1], np.int32),
    "INT64": np.array([-(2**63), 2**63 - 1], np.int64),
    "UINT8": np.array([0, 255], np.uint8),
    "UINT16": np.array([0, 65535], np.uint16),
    "UINT32": np.array([0, 2**32 - 1], np.uint32),
    "UINT64": np.array([0, 2**64 - 1], np.uint64),
    "FP16": np.array([[1.5, -2.25], [65504.0, np.inf]], np.float16),
    "FP32": np.array([[0.1, -3.4e38], [np.nan, np.inf]], np.float32),
    "FP64": np.array([0.1, 1.7e308]),
    "BF16": np.array([1.5, -3.0, 3.0e38], ml_dtypes.bfloat16),
    "BYTES": np.array([b"plain", b"\x00\xff\xfe", "Grüße".encode(), b""], np.object_),
}


def main(kind: str, address: str) -> dict[str, object]:
    triton = import_module(f"tritonclient.{kind}")
    client = triton.InferenceServerClient(address)

    def tensor(name: str, values: np.ndarray, datatype: str, **how: bool) -> object:
        sent = triton.InferInput(name, list(values.shape), datatype)
        sent.set_data_from_numpy(values, **how)
        return sent

    def same(name: str, values: np.ndarray, datatype: str, **how: bool) -> bool:
        result = client.infer("mirror", [tensor(name, values, datatype, **how)])
        got = result.as_numpy(f"out-{name}")
        if got.dtype == np.object_:
            return got.tolist() == values.tolist()
        return (got.dtype, got.shape, got.tobytes()) == (
            values.dtype,
            values.shape,
            values.tobytes(),
        )

    def refused(call: object) -> str:
        try:
            call()
        except InferenceServerException as error:
            return f"{error.status()} {error.message()}"
        return "no error"

    numbers = np.array([[1.0, 2.0, 3.0]], np.float32)
    one = tensor("x", numbers, "FP32")
    chosen = client.infer(
        "mirror",
        [one, tensor("y", numbers * 2, "FP32")],
        outputs=[triton.InferRequestedOutput("out-y")],
        request_id="mine",
    )
    plain = client.infer("plain", [one])
    seen = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("mirror"),
        "version ready": client.is_model_ready("mirror", "2.0"),
        "idle ready": client.is_model_ready("idle"),
        "server": told(client.get_server_metadata(), "name", "version", "extensions"),
        "model": told(client.get_model_metadata("mirror"), "name", "versions", "inputs"),
        "same": {name: same("t", values, name) for name, values in SENT.items()},
        "chosen": [each.tolist() for each in (chosen.as_numpy("out-y"),)],
        "not chosen": chosen.as_numpy("out-x") is None,
        "id": response_of(chosen, "id"),
        "default version": response_of(chosen, "model_version"),
        "second version": response_of(
            client.infer("mirror", [one], model_version="2.0"), "model_version"
        ),
        "parameters": client.infer("mirror", [one], parameters={"k": 5, "flag": True})
        .as_numpy("parameters")
        .tolist(),
        "plain": plain.as_numpy("output-0").tolist(),
        "words": client.infer("words", [one]).as_numpy("output-0").tolist(),
        "unknown model": refused(lambda: client.infer("nope", [one])),
        "unknown metadata": refused(lambda: client.get_model_metadata("nope")),
        "unknown version": refused(lambda: client.infer("mirror", [one], model_version="9")),
        "unknown output": refused(
            lambda: client.infer("mirror", [one], outputs=[triton.InferRequestedOutput("z")])
        ),
        "handler": refused(lambda: client.infer("broken", [one])),
    }
    seen |= over_http(client, triton, tensor, same) if kind == "http" else over_grpc(client, one)
    client.close()
    return json.loads(json.dumps(seen, default=shown))


def over_http(client, triton, tensor, same) -> dict[str, object]:
    """JSON both ways, and a mixture of JSON and bytes."""
    numbers = np.array([[1, 2]], np.int32)
    mixed = client.infer(
        "mirror",
        [tensor("a", numbers, "INT32", binary_data=False), tensor("b", numbers, "INT32")],
        outputs=[
            triton.InferRequestedOutput("out-a", binary_data=True),
            triton.InferRequestedOutput("out-b", binary_data=False),
        ],
    )
    return {
        "as json": same("t", numbers, "INT32", binary_data=False),
        "mixed": [mixed.as_numpy("out-a").tolist(), mixed.as_numpy("out-b").tolist()],
        "mixed forms": [sorted(each) for each in mixed.get_response()["outputs"]],
    }


def over_grpc(client, one) -> dict[str, object]:
    """A stream of inferences, one of them in error."""
    came: Queue[object] = Queue()
    client.start_stream(lambda result, error: came.put(error or result))
    for name in ("mirror", "nope", "counting", "mirror"):
        client.async_stream_infer(name, [one], request_id=name)
    found = [came.get(timeout=30) for _ in range(6)]
    client.stop_stream()
    return {
        "stream": [
            each.message()
            if isinstance(each, InferenceServerException)
            else [each.get_response().id, len(each.get_response().outputs)]
            for each in found
        ]
    }


def told(found, *names: str) -> list[object]:
    return [found[name] if isinstance(found, dict) else getattr(found, name) for name in names]


def response_of(result, name: str) -> object:
    return told(result.get_response(), name)[0]


def shown(value: object) -> object:
    return value.decode("latin-1") if isinstance(value, bytes) else list(value)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
