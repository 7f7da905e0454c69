"""Workers as users meet them: how soon they are ready, what they see, what is seen of them."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from raw_http import ask
from watching import family, measured, model_log, pids, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.running import LiveServer

IMPORT_SECONDS = 1.5
HEAVY = f"import time\ntime.sleep({IMPORT_SECONDS})\nWEIGHT = 1\n"
THREADED = HEAVY + (
    "import threading\n"
    "forever = threading.Thread(target=threading.Event().wait, daemon=True)\n"
    "forever.start()\n"
)
USER = "import {}\ndef handle(data, context):\n    return data and ['ok'] * len(data)\n"
TALKING = """
import logging, os, sys
def handle(data, context):
    if data is None:
        return None
    word = bytes(data[0]["body"]).decode()
    print("printed", word)
    print("complained", word, file=sys.stderr)
    logging.getLogger("handler").warning("warned %s", word)
    return [dict(os.environ)]
"""


@pytest.fixture
def library(tmp_path: Path) -> dict[str, str]:
    """An environment in which a heavy package, and one that starts a thread, can be imported."""
    folder = tmp_path / "site"
    for name, source in {"heavy_library": HEAVY, "threaded_library": THREADED}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(source)
    known = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *([known] if known else [])])}


def user_of(module: str) -> dict[str, dict[str, str]]:
    return {"user.mar": {"user.py": USER.format(module)}}


def seconds_of_scaling(server: LiveServer, workers: int) -> float:
    began = time.monotonic()
    target = f"/models/user?min_worker={workers}&synchronous=true"
    reply = asyncio.run(ask(server.management, "PUT", target))
    assert reply.status == 200, reply.body
    assert [worker["status"] for worker in server.workers("user")] == ["READY"] * workers
    return time.monotonic() - began


def parents(server: LiveServer) -> set[int]:
    return {psutil.Process(pid).ppid() for pid in pids(server, "user")}


def test_later_workers_skip_the_heavy_imports_and_share_their_pages(
    serve: Callable[..., LiveServer], library: dict[str, str]
) -> None:
    server = serve(user_of("heavy_library"), environment=library)
    assert server.register("user.mar", initial_workers=0).status_code == 200
    first = seconds_of_scaling(server, 1)
    second = seconds_of_scaling(server, 2)
    two_more = seconds_of_scaling(server, 4)
    measured(f"first worker {first:.2f} s, second {second:.3f} s, two more {two_more:.3f} s")
    assert first >= IMPORT_SECONDS
    assert max(second, two_more) < first / 2
    assert server.process.pid not in parents(server)
    assert len(parents(server)) == 1


def test_another_model_with_the_same_imports_starts_from_the_same_process(
    serve: Callable[..., LiveServer], library: dict[str, str]
) -> None:
    server = serve(user_of("heavy_library"), environment=library)
    assert server.register("user.mar").status_code == 200
    began = time.monotonic()
    assert server.register("user.mar", model_name="other").status_code == 200
    assert time.monotonic() - began < IMPORT_SECONDS


def test_the_setting_starts_every_worker_afresh(
    serve: Callable[..., LiveServer], library: dict[str, str]
) -> None:
    server = serve(
        user_of("heavy_library"), environment=library, settings={"worker_preload": "false"}
    )
    assert server.register("user.mar").status_code == 200
    assert seconds_of_scaling(server, 2) >= IMPORT_SECONDS
    assert parents(server) == {server.process.pid}


def test_a_library_that_starts_a_thread_is_never_forked(
    serve: Callable[..., LiveServer], library: dict[str, str]
) -> None:
    server = serve(user_of("threaded_library"), environment=library)
    assert server.register("user.mar", initial_workers=2).status_code == 200
    assert parents(server) == {server.process.pid}
    assert server.predict("user", b"x").text == "ok"
    assert len(family(server.process.pid)) == 2
    until(
        lambda: any("threaded_library" in line and "threads" in line for line in server.output),
        "the reason is in the log",
    )


@pytest.mark.torch
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_the_second_worker_of_a_torch_model_takes_under_half_the_time(
    serve: Callable[..., LiveServer],
) -> None:
    source = (
        "import torch\n"
        "class User:\n"
        "    def initialize(self, context):\n"
        "        self.net = torch.nn.Linear(4, 2)\n"
        "    def handle(self, data, context):\n"
        "        return [self.net(torch.ones(4)).shape[0]] * len(data)\n"
    )
    server = serve({"user.mar": {"user.py": source}})
    assert server.register("user.mar", initial_workers=0).status_code == 200
    first = seconds_of_scaling(server, 1)
    second = seconds_of_scaling(server, 2)
    measured(f"torch: first worker {first:.2f} s, second {second:.3f} s")
    assert second < first / 2
    assert server.predict("user", b"x").text == "2"
    private = [psutil.Process(pid).memory_full_info().uss for pid in pids(server, "user")]
    shared = [psutil.Process(pid).memory_info().rss for pid in pids(server, "user")]
    assert max(private) < min(shared) / 2


def test_hidden_variables_never_reach_a_worker(serve: Callable[..., LiveServer]) -> None:
    server = serve(
        {"talking.mar": {"talking.py": TALKING}},
        settings={"blacklist_env_vars": ".*SECRET.*|AWS_.*"},
        environment={"MY_SECRET_KEY": "1", "AWS_REGION": "2", "MY_AWS_REGION": "3", "SEEN": "4"},
    )
    for preload in ("one", "two"):
        assert server.register("talking.mar", model_name=preload).status_code == 200
        seen = server.predict(preload, b"x").json()
        assert seen["SEEN"] == "4"
        assert seen["MY_AWS_REGION"] == "3"
        assert not {"MY_SECRET_KEY", "AWS_REGION"} & set(seen)


@pytest.mark.parametrize("preload", ["true", "false"])
def test_what_a_handler_prints_is_in_the_model_log_with_level_and_worker(
    serve: Callable[..., LiveServer], preload: str
) -> None:
    server = serve({"talking.mar": {"talking.py": TALKING}}, settings={"worker_preload": preload})
    assert server.register("talking.mar").status_code == 200
    assert server.predict("talking", b"hello").status_code == 200
    [worker] = server.workers("talking")
    wanted = {"printed hello": "INFO", "complained hello": "WARN", "warned hello": "INFO"}

    def found(words: str) -> list[str]:
        return [line for line in model_log(server) if words in line]

    for words, level in wanted.items():
        until(lambda words=words: found(words), f"{words!r} is logged", 5)
        [line] = found(words)
        assert f"W-{worker['id']}-talking_1.0" in line
        assert f"[{level}" in line


def test_a_traceback_is_found_by_the_request_id_of_its_error(
    serve: Callable[..., LiveServer],
) -> None:
    source = "def handle(data, context):\n    return data and 1 / 0\n"
    server = serve({"broken.mar": {"broken.py": source}})
    assert server.register("broken.mar").status_code == 200
    answer = server.predict("broken", b"x")
    assert (answer.status_code, answer.json()["message"]) == (503, "Prediction failed")
    name = answer.headers["x-request-id"]

    def lines() -> list[str]:
        return [line for line in model_log(server) if name in line]

    until(lambda: any("ZeroDivisionError" in line for line in lines()), "the cause is logged", 5)
    assert any("broken.py" in line for line in lines())


def test_memory_and_pid_are_those_of_the_process(serve: Callable[..., LiveServer]) -> None:
    source = "ballast = b'x' * 50_000_000\ndef handle(data, context):\n    return data and ['ok']\n"
    server = serve({"ballast.mar": {"ballast.py": source}})
    assert server.register("ballast.mar").status_code == 200
    [worker] = server.workers("ballast")
    process = psutil.Process(int(str(worker["pid"])))
    assert process in family(server.process.pid)
    assert worker["memoryUsage"] == pytest.approx(process.memory_info().rss, rel=0.2)
    assert int(str(worker["memoryUsage"])) > 50_000_000
    assert (worker["gpu"], worker["gpuUsage"], worker["id"]) == (False, "N/A", "9000")
