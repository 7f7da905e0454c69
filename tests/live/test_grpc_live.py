"""A grpcio client against the real server: models, predictions, streams, keys, stopping."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_client import Client

from flambeau.grpc.inference_pb2 import PredictionsRequest

Code = grpc.StatusCode
LIMIT = 30

ECHO = """
def handle(data, context):
    if data is None:
        return None
    return [{name: [type(value).__name__, value.decode()] for name, value in row.items()}
            for row in data]
"""
# Writes down what it was asked, waits as long as it is told, and how it ended.
SLOW = """
import os, time

def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(text + "\\n")

def handle(data, context):
    if data is None:
        return None
    name, seconds = data[0]["data"].decode().split()
    note(name)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        if context.is_cancelled():
            note(name + " was cancelled")
            return ["cancelled"]
        time.sleep(0.01)
    return [name]
"""
PIECES = """
import os
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    count, size = (int(word) for word in data[0]["data"].decode().split())
    for number in range(count):
        send_intermediate_predict_response(
            ["%d" % number + "x" * size], context.request_ids, "piece", 200, context)
        with open(os.environ["NOTES"], "a") as file:
            file.write("%d\\n" % number)
    if size == 0 and count == 3:
        raise ValueError("in the middle")
    return ["last"]
"""
COUNTING = """
SEEN = {}

def handle(data, context):
    if data is None:
        return None
    answers = []
    for index in range(len(data)):
        name = context.get_sequence_id(index)
        SEEN[name] = SEEN.get(name, 0) + 1
        answers.append("%s %d" % (name, SEEN[name]))
    return answers
"""


def until(condition):
    """Returns once ``condition()`` holds; what it gave."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail("it did not happen in time")


@pytest.fixture
def notes(tmp_path):
    """The file that handlers write down what they do in."""
    path = tmp_path / "notes"
    path.touch()
    return path


@pytest.fixture
def client(serve, notes):
    """A client of a server with a model of each kind, loaded on demand."""
    server = serve(
        {
            "echo.mar": {"echo.py": ECHO},
            "slow.mar": {"slow.py": SLOW},
            "pieces.mar": {"pieces.py": PIECES},
            "counting.mar": {"counting.py": COUNTING},
        },
        environment={"NOTES": str(notes)},
    )
    with Client(server) as client:
        client.server = server
        yield client


def load(client, name):
    client.manage("RegisterModel", url=f"{name}.mar", initial_workers=1, synchronous=True)


def test_a_model_lives_its_life_over_grpc(client):
    sentence = client.manage("RegisterModel", url="echo.mar", initial_workers=1, synchronous=True)
    assert sentence == 'Model "echo" Version: 1.0 registered with 1 initial workers'
    assert json.loads(client.predict("echo", a=b"1", b=b"2")) == {
        "a": ["bytearray", "1"],
        "b": ["bytearray", "2"],
    }
    with pytest.raises(grpc.RpcError) as caught:
        load(client, "echo")
    assert caught.value.code() is Code.ABORTED
    assert caught.value.details().startswith("Model version 1.0 is already registered")
    client.manage("ScaleWorker", model_name="echo", min_worker=2, synchronous=True)
    assert len(client.describe("echo")["workers"]) == 2
    client.manage("ScaleWorker", model_name="echo", min_worker=0, max_worker=0, synchronous=True)
    assert client.describe("echo")["workers"] == []
    with pytest.raises(grpc.RpcError) as caught:
        client.predict("echo")
    assert caught.value.code() is Code.UNAVAILABLE
    client.manage("SetDefault", model_name="echo", model_version="1.0")
    assert client.manage("UnregisterModel", model_name="echo") == 'Model "echo" unregistered'
    assert json.loads(client.manage("ListModels")) == {"models": []}


def test_what_the_client_gives_up_never_reaches_a_worker(client, notes):
    load(client, "slow")
    running = client.start("slow", data=b"first 1")
    until(lambda: "first" in notes.read_text())
    cancelled = client.start("slow", data=b"cancelled 0")
    late = client.start("slow", timeout=0.3, data=b"late 0")
    until(lambda: client.describe("slow")["jobQueueStatus"]["pendingRequests"] == 2)
    cancelled.cancel()
    assert late.exception().code() is Code.DEADLINE_EXCEEDED
    assert running.result().prediction == b"first"
    assert client.predict("slow", data=b"next 0") == b"next"
    assert notes.read_text().split("\n")[:-1] == ["first", "next"]


def test_a_running_handler_is_told_that_its_client_has_gone(client, notes):
    load(client, "slow")
    running = client.start("slow", data=b"long 60")
    until(lambda: "long" in notes.read_text())
    running.cancel()
    until(lambda: "long was cancelled" in notes.read_text())
    assert client.predict("slow", data=b"next 0") == b"next"


def test_pieces_come_as_messages_and_a_late_failure_as_the_status(client):
    load(client, "pieces")
    found = [each.prediction for each in client.stream("pieces", data=b"2 0")]
    assert found == [b"0", b"1", b"last"]
    assert client.predict("pieces", data=b"2 0") == b"01last"
    found = []
    with pytest.raises(grpc.RpcError) as caught:
        found += [each.prediction for each in client.stream("pieces", data=b"3 0")]
    assert caught.value.code() is Code.UNAVAILABLE
    assert caught.value.details().startswith("Prediction failed\n")


def test_a_slow_reader_slows_the_handler_down(client, notes):
    load(client, "pieces")
    stream = client.stream("pieces", data=b"200 500000")
    next(stream)
    before = -1
    while before != (sent := notes.read_text().count("\n")):
        before = sent
        time.sleep(0.5)
    assert sent < 100
    assert sum(1 for _ in stream) == 200
    assert notes.read_text().count("\n") == 200


def test_sequences_share_one_call(client):
    load(client, "counting")
    room = threading.Semaphore(0)

    def requests():
        for name in ("a", "b", "", "a"):
            yield PredictionsRequest(model_name="counting", sequence_id=name, input={"data": b"x"})
            room.acquire()

    seen = []
    for answer in client.converse(requests()):
        seen.append(answer.prediction.decode() or answer.status.message)
        room.release()
    assert seen == ["a 1", "b 1", "Parameter sequenceId is required.", "a 2"]


def test_keys_open_their_own_api_and_health_needs_none(serve):
    server = serve(settings={"disable_token_authorization": "false"})
    keys = json.loads((server.folder / "key_file.json").read_text())
    inference, management = keys["inference"]["key"], keys["management"]["key"]
    with Client(server) as stranger, Client(server, inference) as user:
        assert stranger.health() == 1
        for client, call in ((stranger, stranger.ping), (user, lambda: user.manage("ListModels"))):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is Code.PERMISSION_DENIED
            assert client
        assert "Healthy" in user.ping()
    with Client(server, management) as operator:
        assert operator.manage("ListModels")


def test_calls_come_over_tls_with_the_pem_pair(serve):
    pem = Path(__file__).parents[1] / "unit" / "http" / "localhost.pem"
    server = serve(
        settings={
            "enable_grpc_ssl": "true",
            "certificate_file": str(pem),
            "private_key_file": str(pem),
        }
    )
    with Client(server, roots=pem.read_bytes()) as client:
        assert "Healthy" in client.ping()
    with Client(server) as client, pytest.raises(grpc.RpcError) as caught:
        client.ping()
    assert caught.value.code() is Code.UNAVAILABLE


def test_calls_are_in_the_access_log(client):
    client.ping()
    log = client.server.folder / "logs" / "access_log.log"
    line = re.compile(
        r'/127\.0\.0\.1:\d+ "gRPC /org\.pytorch\.serve\.grpc\.inference'
        r'\.InferenceAPIsService/Ping HTTP/2\.0" 0 \d+$',
        re.MULTILINE,
    )
    until(lambda: log.exists() and line.search(log.read_text()))


def test_a_stop_answers_what_runs_and_ends_what_only_waits(client, notes):
    load(client, "slow")
    talk = client.converse(iter(threading.Event().wait, None))
    running = client.start("slow", data=b"last 1")
    until(lambda: "last" in notes.read_text())
    began = time.monotonic()
    assert client.server.stop() == 0
    assert time.monotonic() - began < 10
    assert running.result().prediction == b"last"
    with pytest.raises(grpc.RpcError) as caught:
        next(talk)
    assert caught.value.code() is Code.UNAVAILABLE


def test_a_server_whose_grpc_port_is_taken_says_so_and_ends(client, tmp_path):
    text = (client.server.folder / "config.properties").read_text()
    taken = re.search(r"grpc_inference_port=(\d+)", text)[1]
    settings = (
        "inference_address=http://127.0.0.1:0\nmanagement_address=http://127.0.0.1:0\n"
        f"enable_metrics_api=false\ngrpc_inference_port={taken}\ngrpc_management_port=0\n"
    )
    (tmp_path / "taken.properties").write_text(settings)
    command = [sys.executable, "-m", "flambeau.cli.run", "--ncs"]
    command += ["--ts-config", "taken.properties", "--model-store", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 1
    assert f"Failed to bind to address: 127.0.0.1:{taken} (gRPC" in done.stderr


def test_the_ports_stay_closed_when_grpc_is_switched_off(serve):
    server = serve(settings={"enable_grpc_api": "false"})
    with Client(server) as client, pytest.raises(grpc.RpcError) as caught:
        client.ping()
    assert caught.value.code() is Code.UNAVAILABLE
