"""Machine readings in the form of the original's metric collector.

The server takes its own readings; this is for the scripts people give as ``system_metrics_cmd``,
which import ``ts.metrics.system_metrics`` and ``…process_memory_metric`` and print more lines.
Needs psutil, and pynvml for devices.
"""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

from flambeau.worker.metric_store import Metric
from flambeau.worker.metric_values import Dimension

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

logger = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024
GIGABYTE = 1024 * MEGABYTE

system_metrics: list[Metric] = []
dimension = [Dimension("Level", "Host")]


def _psutil() -> ModuleType:
    # Not at the top: every handler that names a metric imports this module through ``ts.metrics``,
    # and psutil would add a tenth to its worker's memory.
    import psutil  # noqa: PLC0415 - see above

    return psutil


def _add(name: str, value: float, unit: str, dimensions: Sequence[Dimension] | None = None) -> None:
    system_metrics.append(Metric(name, value, unit, dimensions or dimension))


def cpu_utilization() -> None:
    """Add CPUUtilization."""
    _add("CPUUtilization", _psutil().cpu_percent(), "percent")


def memory_used() -> None:
    """Add MemoryUsed."""
    _add("MemoryUsed", _psutil().virtual_memory().used / MEGABYTE, "MB")


def memory_available() -> None:
    """Add MemoryAvailable."""
    _add("MemoryAvailable", _psutil().virtual_memory().available / MEGABYTE, "MB")


def memory_utilization() -> None:
    """Add MemoryUtilization."""
    _add("MemoryUtilization", _psutil().virtual_memory().percent, "percent")


def disk_used() -> None:
    """Add DiskUsage."""
    _add("DiskUsage", _psutil().disk_usage("/").used / GIGABYTE, "GB")


def disk_utilization() -> None:
    """Add DiskUtilization."""
    _add("DiskUtilization", _psutil().disk_usage("/").percent, "percent")


def disk_available() -> None:
    """Add DiskAvailable."""
    _add("DiskAvailable", _psutil().disk_usage("/").free / GIGABYTE, "GB")


def gpu_utilization(num_of_gpu: int) -> None:
    """Add memory and utilisation of the first ``num_of_gpu`` devices; nothing without pynvml."""
    if num_of_gpu <= 0:
        return
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 - optional
    except ImportError:
        logger.warning("device metrics need the package nvidia-ml-py: pip install nvidia-ml-py")
        return
    pynvml.nvmlInit()
    for index in range(num_of_gpu):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        of_device = [Dimension("Level", "Host"), Dimension("DeviceId", index)]
        _add("GPUMemoryUtilization", memory.used * 100 / memory.total, "percent", of_device)
        _add("GPUMemoryUsed", memory.used / MEGABYTE, "MB", of_device)
        busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        _add("GPUUtilization", busy, "percent", of_device)


def collect_all(mod: Any, num_of_gpu: int) -> None:
    """Call every reading of the module ``mod`` and print what they added, then an empty line."""
    for name in dir(mod):
        reading = getattr(mod, name)
        if name.startswith("_") or not callable(reading) or name in _NO_READING:
            continue
        if isinstance(reading, type):
            continue
        if name == "gpu_utilization":
            reading(num_of_gpu)
        else:
            reading()
    for metric in system_metrics:
        print(metric)  # noqa: T201 - stdout is what the server reads
    print()  # noqa: T201 - as above


_NO_READING = {"collect_all", "check_process_mem_usage", "get_cpu_usage", "main"}


def get_cpu_usage(pid: str | int) -> float:
    """Percent of one processor the process uses; 0 when it cannot be seen."""
    try:
        return float(_psutil().Process(int(pid)).cpu_percent())
    except _psutil().Error as error:
        logger.error("Failed to get CPU usage of process %s: %s", pid, error)  # noqa: TRY400 - one line
        return 0.0


def check_process_mem_usage(stdin: TextIO) -> None:
    """Print ``pid:bytes`` for each pid in the comma-separated line of ``stdin``."""
    for pid in filter(None, (text.strip() for text in stdin.readline().split(","))):
        try:
            resident = _psutil().Process(int(pid)).memory_info().rss
        except (_psutil().Error, ValueError) as error:
            logger.error("Failed to get memory of process %s: %s", pid, error)  # noqa: TRY400 - one line
            continue
        print(f"{pid}:{resident}")  # noqa: T201 - stdout is what the server reads


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all readings of the machine, then the memory of the pids given on stdin."""
    parser = argparse.ArgumentParser(description="Print readings of this machine as metric lines.")
    parser.add_argument("--gpu", type=int, default=0, help="devices to read")
    gpu = parser.parse_args(arguments).gpu
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.INFO)
    collect_all(sys.modules[__name__], gpu)
    check_process_mem_usage(sys.stdin)
