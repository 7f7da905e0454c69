"""What tests look at from outside: processes, open files, memory, and conditions that come true."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.running import LiveServer

LIMIT = 60.0
BEAT = 0.02
"""Seconds between two looks."""


async def becomes(condition: Callable[[], object], what: str, limit: float = LIMIT) -> float:
    """Seconds until ``condition`` held; fails after ``limit``."""
    began = time.monotonic()
    while not await asyncio.to_thread(condition):
        if time.monotonic() - began > limit:
            pytest.fail(f"within {limit:g} s it did not come true that {what}")
        await asyncio.sleep(BEAT)
    return time.monotonic() - began


def until(condition: Callable[[], object], what: str, limit: float = LIMIT) -> float:
    """``becomes`` for tests without an event loop."""
    return asyncio.run(becomes(condition, what, limit))


def family(pid: int) -> list[psutil.Process]:
    """The server's workers and templates, however deep."""
    return psutil.Process(pid).children(recursive=True)


def living(processes: list[psutil.Process]) -> list[int]:
    """Those of ``processes`` that still run."""
    found = []
    for one in processes:
        try:
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def pids(server: LiveServer, model: str) -> list[int]:
    """Process ids of the model's workers."""
    return [int(worker["pid"]) for worker in server.workers(model)]


def unpacked(server: LiveServer) -> list[Path]:
    """Unpacked archives in the server's temporary folder."""
    return list(server.temp.glob("flambeau-*/models/*"))


def model_log(server: LiveServer) -> list[str]:
    """Lines that workers have printed."""
    path = server.folder / "logs" / "model_log.log"
    return path.read_text().splitlines() if path.exists() else []


def measured(text: str) -> None:
    """Show a number to whoever runs the tests with ``-s``."""
    sys.stdout.write(f"{text}\n")
