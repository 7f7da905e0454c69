"""What the KServe SDK makes of a server: prints one JSON object. Runs in an environment of its own.

python kserve_script.py http://HOST:PORT HOST:GRPC_PORT
"""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput


def request(model: str, *tensors: InferInput, **more: object) -> InferRequest:
    return InferRequest(model_name=model, infer_inputs=list(tensors), request_id="mine", **more)


def tensor(name: str, values: np.ndarray, datatype: str, *, binary: bool = True) -> InferInput:
    sent = InferInput(name, list(values.shape), datatype)
    sent.set_data_from_numpy(values, binary_data=binary)
    return sent


NUMBERS = np.array([[1.5, 2.5]], np.float32)
HALVES = np.array([1.5, -2.0], np.float16)
TEXTS = np.array([b"one", b"two"], np.object_)


async def over_rest(url: str) -> dict[str, object]:
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as v1:
        first = {
            "v1 predict": await v1.infer(url, {"instances": [1, 2]}, model_name="mirror"),
            "v1 explain": await v1.explain(url, "mirror", {"instances": [3]}),
            "v1 ready": await v1.is_model_ready(url, "mirror"),
        }
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as v2:
        json_only = request("mirror", tensor("x", NUMBERS, "FP32", binary=False))
        binary = request(
            "mirror",
            tensor("x", NUMBERS, "FP32"),
            tensor("h", HALVES, "FP16"),
            tensor("t", TEXTS, "BYTES"),
            parameters={"binary_data_output": True},
            request_outputs=[RequestedOutput("out-h"), RequestedOutput("out-t")],
        )
        answers = {
            "json": await v2.infer(url, json_only, model_name="mirror"),
            "binary": await v2.infer(url, binary, model_name="mirror"),
        }
        return first | {
            "live": await v2.is_server_live(url),
            "ready": await v2.is_server_ready(url),
            "model ready": await v2.is_model_ready(url, "mirror"),
            "idle ready": await v2.is_model_ready(url, "idle"),
            **{name: seen(answer) for name, answer in answers.items()},
        }


async def over_grpc(address: str) -> dict[str, object]:
    async with InferenceGRPCClient(address) as client:
        raw = request("mirror", tensor("x", NUMBERS, "FP32"), tensor("h", HALVES, "FP16"))
        typed = request("mirror", InferInput("x", [2], "INT32", data=[4, 5]))
        return {
            "grpc live": await client.is_server_live(),
            "grpc ready": await client.is_server_ready(),
            "grpc model ready": await client.is_model_ready("mirror"),
            "grpc idle ready": await client.is_model_ready("idle"),
            "grpc raw": seen(await client.infer(raw)),
            "grpc typed": seen(await client.infer(typed)),
        }


def seen(answer) -> list[object]:
    return [
        answer.id,
        answer.model_name,
        {each.name: each.as_numpy().tolist() for each in answer.outputs},
    ]


async def main(url: str, address: str) -> dict[str, object]:
    return await over_rest(url) | await over_grpc(address)


if __name__ == "__main__":
    found = asyncio.run(main(*sys.argv[1:]))
    sys.stdout.write(json.dumps(found, default=lambda value: value.decode("latin-1")))
