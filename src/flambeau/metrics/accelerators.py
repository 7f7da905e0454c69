"""GPUs of this machine: how many there are and how busy each is, through NVML.

``server`` asks how many to use; describe asks how busy the one of a worker is. Needs the package
nvidia-ml-py (extra ``gpu``) and NVIDIA's driver; without them there are no numbers, and no error.
"""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import Any

UNKNOWN = "N/A"
MEBIBYTE = 1024**2
NVIDIA = Path("/proc/driver/nvidia/gpus")


def count(driver: Path = NVIDIA) -> int:
    """GPUs of this machine; NVML knows, else the driver's folder tells."""
    nvml = _nvml()
    if nvml is not None:
        with contextlib.suppress(nvml.NVMLError):
            return int(nvml.nvmlDeviceGetCount())
    with contextlib.suppress(OSError):
        return sum(1 for _ in driver.iterdir())
    return 0


def usage(number: int) -> str:
    """How busy GPU ``number`` is, in the words describe has always used; N/A when unknown."""
    nvml = _nvml()
    if nvml is None:
        return UNKNOWN
    try:
        device = nvml.nvmlDeviceGetHandleByIndex(number)
        rates = nvml.nvmlDeviceGetUtilizationRates(device)
        memory = nvml.nvmlDeviceGetMemoryInfo(device)
    except nvml.NVMLError:
        return UNKNOWN
    return (
        f"gpuId::{number} utilization.gpu [%]::{rates.gpu} % "
        f"utilization.memory [%]::{rates.memory} % "
        f"memory.used [MiB]::{memory.used // MEBIBYTE} MiB"
    )


def _nvml() -> Any | None:
    """NVML, ready to be asked; None where it is not installed or finds no driver."""
    try:
        nvml = importlib.import_module("pynvml")  # extra gpu
        nvml.nvmlInit()
    except ImportError:
        return None
    except nvml.NVMLError:
        return None
    return nvml
