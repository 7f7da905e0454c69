from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest

from flambeau.metrics.definitions import read_definitions
from flambeau.metrics.registry import Metrics
from flambeau.metrics.system import Machine, Script, watch


def test_a_reading_of_this_machine_has_every_traditional_name():
    readings = {one.name: one.value for one in Machine().read()}
    assert {
        "CPUUtilization",
        "MemoryUsed",
        "MemoryAvailable",
        "MemoryUtilization",
        "DiskUsage",
        "DiskUtilization",
        "DiskAvailable",
    } <= set(readings)
    assert 0 <= readings["MemoryUtilization"] <= 100
    assert readings["MemoryUsed"] > 1
    assert readings["DiskUsage"] + readings["DiskAvailable"] > 0


class NvmlError(Exception):
    pass


def driver(*, starts: bool = True, answers: bool = True) -> SimpleNamespace:
    """The calls of the NVML binding that are used, for two devices of 40 GB."""

    def start() -> None:
        if not starts:
            raise NvmlError("no driver")

    def rates(device: int) -> SimpleNamespace:
        if not answers:
            raise NvmlError("lost")
        return SimpleNamespace(gpu=30 + device)

    return SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=start,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(used=10 * 1024**3, total=40 * 1024**3),
        nvmlDeviceGetUtilizationRates=rates,
    )


def gpu_readings(monkeypatch, nvml) -> list[tuple[str, float, str]]:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return [
        (one.name, one.value, dict(one.dimensions)["DeviceId"])
        for one in Machine().read()
        if one.name.startswith("GPU")
    ]


def test_each_gpu_is_read_where_the_driver_is_present(monkeypatch):
    assert gpu_readings(monkeypatch, driver()) == [
        ("GPUMemoryUtilization", 25.0, "0"),
        ("GPUMemoryUsed", 10240.0, "0"),
        ("GPUUtilization", 30.0, "0"),
        ("GPUMemoryUtilization", 25.0, "1"),
        ("GPUMemoryUsed", 10240.0, "1"),
        ("GPUUtilization", 31.0, "1"),
    ]


@pytest.mark.parametrize("nvml", [None, driver(starts=False), driver(answers=False)])
def test_no_driver_or_a_failing_one_leaves_the_other_readings(monkeypatch, nvml):
    assert gpu_readings(monkeypatch, nvml) == []


def script(tmp_path, text: str, pids: list[int] | None = None) -> Script:
    file = tmp_path / "collector.py"
    file.write_text(text)
    return Script(f"'{file}' --gpu 0", lambda: pids or [])


async def test_a_script_gets_the_worker_pids_and_its_lines_are_read(tmp_path):
    found = await script(
        tmp_path,
        "import sys\n"
        "pids = sys.stdin.read()\n"
        "print('CPUUtilization.Percent:7|#Level:Host|#hostname:x,1')\n"
        "print('Own.Count:' + str(len(pids.split(','))) + '|#Level:Host|#hostname:x,1')\n"
        "print()\n"
        "print('17:12345')\n",
        [17, 18],
    ).read(30)
    assert [(one.name, one.value) for one in found] == [("CPUUtilization", 7), ("Own", 2)]


async def test_complaints_and_wrong_lines_of_a_script_are_logged(tmp_path, caplog):
    found = await script(
        tmp_path, "import sys\nprint('hello')\nprint('trouble', file=sys.stderr)\n"
    ).read(30)
    assert found == []
    assert "system_metrics_cmd: trouble" in caplog.text
    assert "Failed to parse metrics line: 'hello'" in caplog.text


async def test_a_script_that_hangs_is_killed(tmp_path, caplog):
    found = await script(tmp_path, "import time\ntime.sleep(600)\n").read(0.2)
    assert found == []
    assert "took longer than 0.2 s" in caplog.text


class Heard(Metrics):
    """Metrics that say when a reading has come in."""

    def __init__(self) -> None:
        super().__init__(read_definitions())
        self.turns: asyncio.Queue[None] = asyncio.Queue()

    def readings(self, points) -> None:
        super().readings(points)
        self.turns.put_nowait(None)


async def watched(interval: float, command: str | None, name: str) -> None:
    metrics = Heard()
    task = asyncio.create_task(watch(metrics, interval, command))
    try:
        async with asyncio.timeout(30):
            while f"{name}{{".encode() not in b"".join(metrics.exposition([name])):
                await metrics.turns.get()
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("command", [None, "ts/metrics/metric_collector.py --gpu 0"])
async def test_watching_fills_the_metrics_at_once(command):
    await watched(3600, command, "MemoryUsed")


async def test_watching_goes_on_after_a_script_that_cannot_run(tmp_path):
    file = tmp_path / "collector.py"
    flag = tmp_path / "flag"
    file.write_text(
        "import pathlib, sys\n"
        f"flag = pathlib.Path({str(flag)!r})\n"
        "if not flag.exists():\n"
        "    flag.touch()\n"
        "    sys.exit('not yet')\n"
        "print('DiskUsage.Gigabytes:3|#Level:Host|#hostname:x,1')\n"
    )
    await watched(0.01, str(file), "DiskUsage")
