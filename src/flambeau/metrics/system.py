"""Readings of the machine: processor, memory, disk, GPUs.

``server`` runs ``watch`` as a task of its own. The readings come from psutil and, where a GPU
and the package nvidia-ml-py are present, from NVML; or from a script the operator names
(``system_metrics_cmd``). A reading that cannot be taken is left out and never stops the server.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import shlex
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil

from flambeau.metrics.loglines import LineError, Point, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flambeau.metrics.registry import Metrics

_MEGABYTE = 1024.0**2
_GIGABYTE = 1024.0**3
_ORIGINAL_COLLECTOR = "ts/metrics/metric_collector.py"
"""A command that names the original's own collector gets the built-in readings."""
_SHORTEST_LIMIT = 10.0
"""Seconds a script gets at the least, however short the interval."""
_log = logging.getLogger("flambeau.metrics")


class Machine:
    """What psutil and NVML know."""

    def __init__(self) -> None:
        self._nvml = _start_nvml()

    def read(self) -> list[Point]:
        """One reading of everything. Blocks for as long as the disk and the driver do."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage("/")
        readings = [
            # Since the last reading; the first one since psutil was imported.
            _reading("CPUUtilization", psutil.cpu_percent(), "Percent"),
            _reading("MemoryUsed", memory.used / _MEGABYTE, "Megabytes"),
            _reading("MemoryAvailable", memory.available / _MEGABYTE, "Megabytes"),
            _reading("MemoryUtilization", memory.percent, "Percent"),
            _reading("DiskUsage", disk.used / _GIGABYTE, "Gigabytes"),
            _reading("DiskUtilization", disk.percent, "Percent"),
            _reading("DiskAvailable", disk.free / _GIGABYTE, "Gigabytes"),
        ]
        if self._nvml is not None:
            readings += _gpus(self._nvml)
        return readings


class Script:
    """A program of the operator that prints readings, one metric line each, on every run."""

    def __init__(self, command: str, worker_pids: Callable[[], list[int]]) -> None:
        self._command = shlex.split(command)
        self._worker_pids = worker_pids

    async def read(self, timeout: float) -> list[Point]:  # noqa: ASYNC109 - kills a process
        """What one run printed. Its standard error goes to the log; so do wrong lines."""
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        pids = ",".join(map(str, self._worker_pids())).encode()
        try:
            async with asyncio.timeout(timeout):
                printed, complaints = await program.communicate(pids)
        except TimeoutError:
            _log.error("system_metrics_cmd took longer than %g s and was killed.", timeout)
            return []
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()
        for line in complaints.decode("utf-8", "replace").splitlines():
            _log.error("system_metrics_cmd: %s", line)
        return list(_points(printed.decode("utf-8", "replace")))


async def watch(
    metrics: Metrics,
    interval: float,
    command: str | None = None,
    worker_pids: Callable[[], list[int]] = list,
) -> None:
    """Give ``metrics`` a reading now and every ``interval`` seconds, until cancelled."""
    custom = command and not command.startswith(_ORIGINAL_COLLECTOR)
    if custom and command:
        script = Script(command, worker_pids)
        read = partial(script.read, max(interval, _SHORTEST_LIMIT))
    else:
        machine = await asyncio.to_thread(Machine)
        read = partial(asyncio.to_thread, machine.read)
    while True:
        try:
            metrics.readings(await read())
        except OSError as error:
            _log.error("system metrics cannot be read: %s", error)
        await asyncio.sleep(interval)


def _start_nvml() -> Any | None:
    try:
        nvml = importlib.import_module("pynvml")  # extra gpu
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        _log.debug("no GPU readings: %s", error)
        return None
    return nvml


def _gpus(nvml: Any) -> list[Point]:
    readings: list[Point] = []
    try:
        for number in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(number)
            memory = nvml.nvmlDeviceGetMemoryInfo(device)
            busy = nvml.nvmlDeviceGetUtilizationRates(device).gpu
            share = 100.0 * memory.used / memory.total
            readings += [
                _reading("GPUMemoryUtilization", share, "Percent", number),
                _reading("GPUMemoryUsed", memory.used / _MEGABYTE, "Megabytes", number),
                _reading("GPUUtilization", busy, "Percent", number),
            ]
    except nvml.NVMLError as error:
        _log.warning("GPU readings are incomplete: %s", error)
    return readings


def _reading(name: str, value: float, unit: str, device: int | None = None) -> Point:
    dimensions = [("Level", "Host")]
    if device is not None:
        dimensions.append(("DeviceId", str(device)))
    return Point(name, float(value), unit, "gauge", dimensions, "", int(time.time()))


def _points(printed: str) -> Iterator[Point]:
    for line in printed.splitlines():
        if not line.strip():
            return  # What follows is the memory of each worker, which the server reads itself.
        try:
            yield parse(line)
        except LineError as error:
            _log.error("system_metrics_cmd: %s", error)
