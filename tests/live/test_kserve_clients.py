"""The real clients of the Open Inference Protocol, unchanged, against a real server.

Their scripts run in environments of their own, made by ``make test``: their dependencies and ours
do not agree on versions, and all of them register the same message names.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flambeau.tensors.datatypes import DATATYPES
from tests.running import write_archive

SCRIPTS = Path(__file__).parent / "clients"
ENVIRONMENTS = Path(sys.prefix) / "clients"

MIRROR = """
def handle(rows, context):
    if rows is None:
        return None
    return [answered(row["body"], context) for row in rows]


def answered(body, context):
    if "instances" in body:
        return {"predictions": body["instances"]}
    outputs = [mirrored(dict(each)) for each in body["inputs"]]
    if body.get("parameters"):
        values = [f"{key}={value}" for key, value in body["parameters"].items()]
        outputs.append({"name": "parameters", "datatype": "BYTES", "data": values})
    return {"outputs": outputs}


def mirrored(tensor):
    tensor["name"] = "out-" + tensor["name"]
    if tensor["datatype"] == "BYTES":
        tensor["parameters"] = {"content_type": "base64"}
    return tensor
"""
PLAIN = "def handle(rows, context):\n    return rows and [[[1, 2], [3, 4]]]\n"
WORDS = "def handle(rows, context):\n    return rows and [{'cat': 0.5}]\n"
BROKEN = "def handle(rows, context):\n    return rows and 1 / 0\n"
COUNTING = """
from ts.handler_utils.utils import send_intermediate_predict_response


def handle(rows, context):
    if rows is None:
        return None
    for number in range(2):
        send_intermediate_predict_response([str(number)], context.request_ids, "", 200, context)
    return ["2"]
"""


@pytest.fixture
def server(serve):
    running = serve(
        {
            "mirror.mar": {"mirror.py": MIRROR},
            "plain.mar": {"plain.py": PLAIN},
            "words.mar": {"words.py": WORDS},
            "broken.mar": {"broken.py": BROKEN},
            "counting.mar": {"counting.py": COUNTING},
        },
        models="mirror=mirror.mar",
    )
    for name in ("plain", "words", "broken", "counting"):
        assert running.register(f"{name}.mar").status_code == 200
    assert running.register("words.mar", model_name="idle", initial_workers=0).status_code == 200
    second = running.store / "second.mar"
    write_archive(second, {"mirror.py": MIRROR}, handler="mirror", name="mirror", version="2.0")
    assert running.register("second.mar").status_code == 200
    return running


def grpc_address(server) -> str:
    text = (server.folder / "config.properties").read_text()
    port = re.search(r"^grpc_inference_port=(\d+)$", text, re.MULTILINE)[1]
    return f"127.0.0.1:{port}"


def told(client: str, *arguments: str):
    python = ENVIRONMENTS / client / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is not there: make test makes it")
    command = [python, SCRIPTS / f"{client}_script.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def http(server):
    """What tritonclient sees over HTTP."""
    return told("triton", "http", server.inference.removeprefix("http://"))


@pytest.fixture
def grpc(server):
    """What tritonclient sees over gRPC."""
    return told("triton", "grpc", grpc_address(server))


@pytest.fixture
def sdk(server):
    """What the KServe SDK sees over both."""
    return told("kserve", server.inference, grpc_address(server))


SAME_OVER_BOTH = {
    "live": True,
    "ready": True,
    "model ready": True,
    "version ready": True,
    "idle ready": False,
    "model": ["mirror", ["1.0", "2.0"], []],
    "same": dict.fromkeys(DATATYPES, True),
    "chosen": [[[2.0, 4.0, 6.0]]],
    "not chosen": True,
    "id": "mine",
    "default version": "1.0",
    "second version": "2.0",
    "plain": [[1, 2], [3, 4]],
    "words": ['{"cat":0.5}'],
}


def test_tritonclient_over_http(http):
    assert {key: http[key] for key in SAME_OVER_BOTH} == SAME_OVER_BOTH
    assert http["server"] == [
        "Torchserve",
        "0.12.0",
        ["kserve", "kubeflow", "binary_tensor_data"],
    ]
    assert http["parameters"] == ["k=5", "flag=True"]
    assert http["as json"] is True
    assert http["mixed"] == [[[1, 2]], [[1, 2]]]
    assert http["mixed forms"] == [
        ["datatype", "name", "parameters", "shape"],
        ["data", "datatype", "name", "shape"],
    ]
    assert http["unknown model"] == http["unknown metadata"] == "404 Model not found: nope"
    assert http["unknown version"] == "404 Model version: 9 does not exist for model: mirror"
    assert http["unknown output"] == "400 The model gave no output 'z'; its outputs are: out-x."
    assert http["handler"] == "503 Prediction failed"


def test_tritonclient_over_grpc(grpc):
    assert {key: grpc[key] for key in SAME_OVER_BOTH} == SAME_OVER_BOTH
    assert grpc["server"] == ["Torchserve", "0.12.0", ["kserve", "kubeflow"]]
    assert sorted(grpc["parameters"]) == ["flag=True", "k=5"]
    assert grpc["stream"] == [
        ["mirror", 1],
        "Model not found: nope",
        *[["counting", 1]] * 3,
        ["mirror", 1],
    ]
    for name, code in {
        "unknown model": "NOT_FOUND",
        "unknown version": "NOT_FOUND",
        "unknown output": "INVALID_ARGUMENT",
        "handler": "UNAVAILABLE",
    }.items():
        assert grpc[name].startswith(f"StatusCode.{code} "), name


def test_the_kserve_sdk(sdk):
    assert sdk["v1 predict"] == {"predictions": [1, 2]}
    assert sdk["v1 explain"] == {"predictions": [3]}
    assert all(sdk[key] for key in sdk if key.endswith(("live", " ready")) and "idle" not in key)
    assert not sdk["idle ready"]
    assert not sdk["grpc idle ready"]
    numbers, halves = [[1.5, 2.5]], [1.5, -2.0]
    assert sdk["json"] == ["mine", "mirror", {"out-x": numbers}]
    assert sdk["binary"] == ["mine", "mirror", {"out-h": halves, "out-t": ["one", "two"]}]
    assert sdk["grpc raw"] == ["mine", "mirror", {"out-x": numbers, "out-h": halves}]
    assert sdk["grpc typed"] == ["mine", "mirror", {"out-x": [4, 5]}]
