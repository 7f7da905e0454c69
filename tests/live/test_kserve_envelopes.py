"""Every envelope at batch size 4: four clients, one call of the handler, four right answers."""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

CLIENTS = 4
HANDLERS = {
    "body": "[[one['number'], len(rows)] for one in rows]",
    "json": "[[one * 2, len(rows)] for one in rows]",
    "kserve": "[[one * 2, len(rows)] for one in rows]",
    "kservev2": "[[*one['data'][0], len(rows)] for one in rows]",
}
HANDLER = "def handle(rows, context):\n    return rows and {answer}\n"


@pytest.fixture
def ask(serve, request):
    """``ask(path, bodies, **headers)`` gives the JSON answers of as many clients at once."""
    envelope = request.param
    server = serve(
        {"model.mar": {"model.py": HANDLER.format(answer=HANDLERS[envelope])}},
        settings={"service_envelope": envelope, "batching": "strict"},
    )
    batching = {"batch_size": CLIENTS, "max_batch_delay": 20000}
    assert server.register("model.mar", **batching).status_code == 200

    def answers(path, bodies, headers=None):
        def one(number, body):
            sent = {"Content-Type": "application/json"} | (headers(number) if headers else {})
            return server.client.post(f"{server.inference}{path}", content=body, headers=sent)

        with ThreadPoolExecutor(CLIENTS) as pool:
            found = list(pool.map(one, range(CLIENTS), bodies))
        assert [each.status_code for each in found] == [200] * CLIENTS, [f.text for f in found]
        return found

    return answers


def each(make):
    return [json.dumps(make(number)) for number in range(CLIENTS)]


@pytest.mark.parametrize("ask", ["body"], indirect=True)
def test_body(ask):
    found = ask("/predictions/model", each(lambda number: {"number": number}))
    assert [one.json() for one in found] == [[number, CLIENTS] for number in range(CLIENTS)]


@pytest.mark.parametrize("ask", ["json", "kserve"], indirect=True)
def test_instances(ask):
    bodies = each(lambda number: {"instances": [number, number + 10]})
    found = ask("/v1/models/model:predict", bodies)
    assert [one.json() for one in found] == [
        {"predictions": [[2 * n, 2 * CLIENTS], [2 * n + 20, 2 * CLIENTS]]} for n in range(CLIENTS)
    ]


def tensor(number):
    return {
        "id": f"r{number}",
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "INT32", "data": [number, 7]}],
    }


@pytest.mark.parametrize("ask", ["kservev2"], indirect=True)
def test_tensors_as_json(ask):
    found = ask("/v2/models/model/infer", each(tensor))
    for number, one in enumerate(found):
        document = one.json()
        assert [document["id"], document["model_name"]] == [f"r{number}", "model"]
        assert document["model_version"] == "1.0"
        (output,) = document["outputs"]
        assert output == {
            "name": "x",
            "datatype": "INT64",
            "data": [number, 7, CLIENTS],
            "shape": [3],
        }


@pytest.mark.parametrize("ask", ["kservev2"], indirect=True)
def test_tensors_as_bytes(ask):
    bodies, lengths = [], []
    for number in range(CLIENTS):
        document = tensor(number) | {"parameters": {"binary_data_output": True}}
        del document["inputs"][0]["data"]
        document["inputs"][0]["parameters"] = {"binary_data_size": 8}
        head = json.dumps(document).encode()
        lengths.append(len(head))
        bodies.append(head + struct.pack("<2i", number, 7))
    found = ask(
        "/v2/models/model/infer",
        bodies,
        lambda number: {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(lengths[number]),
        },
    )
    for number, one in enumerate(found):
        length = int(one.headers["inference-header-content-length"])
        head = json.loads(one.content[:length])
        assert head["id"] == f"r{number}"
        assert head["outputs"][0]["parameters"] == {"binary_data_size": 24}
        assert struct.unpack("<3q", one.content[length:]) == (number, 7, CLIENTS)
