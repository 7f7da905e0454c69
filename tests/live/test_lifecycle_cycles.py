"""A thousand models come and go: nothing is left of them."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from watching import family, measured, unpacked, until

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.running import LiveServer

CYCLES = 1000
WARM_UP = 100
GROWTH = 4 * 1024 * 1024
"""Most bytes the server may grow by after the warm-up: 4.5 KB for each cycle."""
ECHO = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"


def counts(process: psutil.Process) -> tuple[int, int, int]:
    """Children, descriptors, threads."""
    return len(process.children(recursive=True)), process.num_fds(), process.num_threads()


def cycle(server: LiveServer, client: httpx.Client) -> None:
    registered = client.post(
        f"{server.management}/models?url=echo.mar&initial_workers=1&synchronous=true"
    )
    assert registered.status_code == 200, registered.text
    assert client.post(f"{server.inference}/predictions/echo", content=b"x").text == "ok"
    scaled = client.put(f"{server.management}/models/echo?min_worker=2&synchronous=true")
    assert scaled.status_code == 200, scaled.text
    unregistered = client.delete(f"{server.management}/models/echo")
    assert unregistered.status_code == 200, unregistered.text


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_thousand_cycles_leave_no_process_descriptor_folder_or_memory(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({"echo.mar": {"echo.py": ECHO}})
    process = psutil.Process(server.process.pid)
    for _ in range(WARM_UP):
        cycle(server, server.client)
    before, resident = counts(process), process.memory_info().rss
    began = time.monotonic()
    for _ in range(CYCLES - WARM_UP):
        cycle(server, server.client)
    seconds = time.monotonic() - began
    until(lambda: counts(process) <= before, f"{before} children, descriptors, threads are left", 5)
    gc.collect()
    grown = process.memory_info().rss - resident
    measured(
        f"{seconds / (CYCLES - WARM_UP) * 1000:.1f} ms a cycle, grown by {grown / 1024:.0f} KiB"
    )
    assert grown < GROWTH
    assert unpacked(server) == []
    assert len(list(server.temp.glob("flambeau-*"))) == 1
    assert [path.name for path in server.store.iterdir()] == ["echo.mar"]
    assert server.client.get(f"{server.management}/models").json()["models"] == []


def test_failed_registrations_leave_nothing_either(serve: Callable[..., LiveServer]) -> None:
    server = serve({"bad.mar": {"bad.py": "raise ValueError('never')\n"}})
    process = psutil.Process(server.process.pid)

    def fail() -> None:
        assert server.register("bad.mar").status_code == 500

    for _ in range(10):
        fail()
    before = counts(process)
    for _ in range(50):
        fail()
    until(lambda: counts(process) <= before, f"{before} children, descriptors, threads are left", 5)
    assert unpacked(server) == []
    assert len(family(process.pid)) <= 1
