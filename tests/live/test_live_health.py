"""``/livez`` and ``/readyz`` of a real server, while its workers are killed, stopped and flooded."""

from __future__ import annotations

import os
import signal
import threading
import time

import httpx
import pytest

OBEY = """
import os, time

def handle(data, context):
    if data is None:
        return None
    path = bytes(data[0]["body"]).decode()
    while path and not os.path.exists(path):
        time.sleep(0.005)
    return ["done"] * len(data)
"""
BROKEN = "raise RuntimeError('no weights')\n"
SLOW_TO_LOAD = """
import os, time
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.005)

def handle(data, context):
    return data and ["done"] * len(data)
"""


def ready(server, listener="inference"):
    return httpx.get(f"{getattr(server, listener)}/readyz")


def turned(server, status, limit):
    """The first answer of /readyz with ``status``; fails when none comes within ``limit`` seconds."""
    begun = time.monotonic()
    while True:
        answer = ready(server)
        took = time.monotonic() - begun
        if answer.status_code == status:
            return answer
        if took > limit:
            pytest.fail(f"/readyz still says {answer.status_code} after {took:.2f} s")
        time.sleep(0.01)


def test_the_probes_answer_on_both_listeners_without_a_token(serve):
    server = serve(
        {"obey.mar": {"obey.py": OBEY}},
        models="obey.mar",
        settings={"disable_token_authorization": "false"},
    )
    turned(server, 200, 20)
    for address in (server.inference, server.management):
        assert httpx.get(f"{address}/livez").json() == {"status": "Live"}
        assert httpx.get(f"{address}/readyz").json() == {"status": "Ready"}
        assert httpx.get(f"{address}/ping").status_code == 400
    assert httpx.get(f"{server.metrics}/livez").status_code == 404


def test_a_server_is_live_before_its_model_is_loaded_and_ready_after(serve, tmp_path):
    gate = tmp_path / "gate"
    server = serve(
        {"slow.mar": {"slow.py": SLOW_TO_LOAD}}, models="slow.mar", environment={"GATE": str(gate)}
    )
    assert httpx.get(f"{server.inference}/livez").status_code == 200
    answer = ready(server)
    assert answer.status_code == 503
    assert answer.json()["reasons"] == [{"model": "slow 1.0", "reason": "it is loading"}]
    gate.touch()
    turned(server, 200, 20)


def test_a_killed_worker_is_noticed_and_so_is_its_successor(serve):
    server = serve({"obey.mar": {"obey.py": OBEY}}, models="obey.mar")
    turned(server, 200, 20)
    os.kill(server.workers("obey")[0]["pid"], signal.SIGKILL)
    answer = turned(server, 503, 20)
    assert answer.json()["lacking"] == 1
    assert httpx.get(f"{server.inference}/livez").status_code == 200
    turned(server, 200, 20)
    assert server.predict("obey").text == "done"


def test_a_stopped_idle_worker_is_noticed_and_so_is_its_return(serve):
    server = serve({"obey.mar": {"obey.py": OBEY}}, models="obey.mar")
    turned(server, 200, 20)
    pid = server.workers("obey")[0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = turned(server, 503, 20)
        assert answer.json()["reasons"] == [
            {"model": "obey 1.0", "reason": "its workers do not answer"}
        ]
    finally:
        os.kill(pid, signal.SIGCONT)
    turned(server, 200, 20)


def test_a_full_queue_never_flips_it(serve, tmp_path):
    server = serve(
        {"obey.mar": {"obey.py": OBEY}},
        models="obey.mar",
        settings={"job_queue_size": "2", "prefetch_ms": "0"},
    )
    turned(server, 200, 20)
    gate = tmp_path / "gate"
    answers = []

    def ask():
        answers.append(httpx.post(f"{server.inference}/predictions/obey", content=str(gate)))

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for one in asking:
        one.start()
    until = time.monotonic() + 2.5
    seen = []
    while time.monotonic() < until:
        seen.append(ready(server).status_code)
        time.sleep(0.05)
    gate.touch()
    for one in asking:
        one.join(30)
    assert set(seen) == {200}
    assert sorted({answer.status_code for answer in answers}) == [200, 503]


def test_what_failed_at_start_up_is_named_and_only_start_up_models_count(serve, pack):
    server = serve(
        {"obey.mar": {"obey.py": OBEY}, "broken.mar": {"broken.py": BROKEN}},
        models="obey.mar,absent.mar,broken.mar",
    )
    begun = time.monotonic()
    while True:
        answer = ready(server)
        reasons = {one["model"]: one["reason"] for one in answer.json()["reasons"]}
        if "obey 1.0" not in reasons and "no weights" in reasons.get("broken 1.0", ""):
            break
        assert time.monotonic() - begun < 20, reasons
        time.sleep(0.02)
    assert reasons["absent.mar"].startswith("it could not be registered: ")
    assert server.client.delete(f"{server.management}/models/broken").status_code == 200
    assert {one["model"] for one in ready(server).json()["reasons"]} == {"absent.mar"}
    pack(server.store / "absent.mar", {"obey.py": OBEY}, handler="obey")
    registered = server.register("absent.mar", initial_workers=0)
    assert registered.status_code == 200, registered.text
    assert ready(server).status_code == 200
