"""From the command to the first answer, and the memory held under load, for a model without torch."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING

import psutil

from bench.measure import apply_load

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.servers import Server
    from bench.workloads import Workload

MEGABYTE = 1e6
LOADED = 3
"""Seconds of load before the memory is read: a server at work, not one that has just begun."""


def start_figures(start: Callable[[Workload], Server], workload: Workload) -> dict[str, float]:
    """``first_answer_s``, ``front_mb``, ``worker_mb`` (resident) and ``all_mb`` (shared pages once)."""
    begin = time.perf_counter()
    server = start(workload)
    try:
        server.wait_for(workload, pause=0.005)
        seconds = time.perf_counter() - begin
        apply_load(server, workload, LOADED)
        return {
            "first_answer_s": seconds,
            "front_mb": server.front().memory_info().rss / MEGABYTE,
            "worker_mb": psutil.Process(worker_pid(server)).memory_info().rss / MEGABYTE,
            "all_mb": sum(each.memory_full_info().pss for each in server.tree()) / MEGABYTE,
        }
    finally:
        server.stop()


def worker_pid(server: Server) -> int:
    """The process of the only worker, as the management API tells it."""
    settings = (server.folder / "config.properties").read_text()
    management = dict(line.split("=", 1) for line in settings.splitlines())["management_address"]
    with urllib.request.urlopen(f"{management}/models/bench", timeout=10) as reply:
        pid: int = json.load(reply)[0]["workers"][0]["pid"]
        return pid
