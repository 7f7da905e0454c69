"""One sample: load on one server for some seconds, with what it cost and how quiet the machine was."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.pace import apply_pace, pace
from bench.servers import bare_loop
from bench.wrk import wrk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.servers import Server
    from bench.workloads import Workload

QUIET = 0.2
"""Cores that others may use before a sample counts as disturbed."""
REACHED = 0.98
"""The share of the intended requests that must be answered, and within the sample, at a fixed rate."""
LATE = 0.1
"""The generator's own lag, as a share of the 99th percentile, above which a figure is marked."""

WRK_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


@dataclass(frozen=True, slots=True)
class Sample:
    """What one side did in one round. Zeros where a figure does not apply."""

    rate: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_us: float = 0.0
    """Processor time of all server processes per request."""
    errors: int = 0
    others: float = 0.0
    """Cores used by neither the server nor the load generator."""
    steal: float = 0.0
    """Cores the host took away."""
    p999_ms: float = 0.0
    share: float = 1.0
    """Requests answered well within the sample, of those that were intended."""
    lag_ms: float = 0.0
    """How late the load generator itself was, 99th percentile."""

    @property
    def reached(self) -> bool:
        """The server kept up with the rate that was asked for."""
        return self.share >= REACHED

    @property
    def late(self) -> bool:
        """The load generator's own lag is a part of the 99th percentile worth a word."""
        return self.lag_ms > LATE * self.p99_ms

    @property
    def noise(self) -> float:
        """Cores that something else had."""
        return self.others + self.steal


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load generator counted."""

    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float = 0.0
    intended: int = 0
    lag_ms: float = 0.0


def tool() -> str:
    """The load generator in use, as the report names it."""
    return "wrk" if wrk() else "bench/load.py"


def apply_load(server: Server, workload: Workload, seconds: float) -> Loaded:
    """The counts of one run of the load generator. RuntimeError: a fixed rate without ``pace``."""
    if workload.latency and (steady := pace()):
        return read_pace(apply_pace(steady, server.port, server.path, workload, seconds))
    if workload.rate:
        raise RuntimeError(f"{workload.name} needs bench/pace.c, which needs a C compiler")
    if program := wrk():
        return apply_wrk(program, server, workload, seconds)
    command = [
        sys.executable,
        "-m",
        "bench.load",
        "--port",
        str(server.port),
        "--path",
        server.path,
    ]
    command += ["--connections", str(workload.connections), "--seconds", str(seconds)]
    command += ["--content-type", workload.content_type]
    done = subprocess.run(
        command,
        input=workload.body(),
        stdout=subprocess.PIPE,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    return Loaded(**json.loads(done.stdout))


def read_pace(printed: Mapping[str, float]) -> Loaded:
    """The counts in what ``pace`` printed."""
    names = [each.name for each in fields(Loaded)]
    return Loaded(**{name: printed[name] for name in names})


def apply_wrk(program: Sequence[str], server: Server, workload: Workload, seconds: float) -> Loaded:
    """The same by wrk. It takes whole seconds only."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder, "body"), Path(folder, "request.lua")
        body.write_bytes(workload.body())
        script.write_text(
            f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "{workload.content_type}"\n'
            f'local file = io.open("{body}", "rb")\nwrk.body = file:read("*all")\nfile:close()\n'
        )
        command = [*program, "-t1", f"-c{workload.connections}", f"-d{max(1, round(seconds))}s"]
        command += ["--latency", "--timeout", "30s", "-s", str(script)]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{server.port}{server.path}"],
            capture_output=True,
            text=True,
            check=True,
        )
    return read_wrk(done.stdout)


def read_wrk(text: str) -> Loaded:
    """The counts in what wrk printed."""
    total = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", text)
    if total is None:
        raise RuntimeError(f"wrk printed something unexpected:\n{text}")
    percentiles = {
        share: float(value) * WRK_UNITS[unit]
        for share, value, unit in re.findall(r"(\d\d)%\s+([\d.]+)(us|ms|s|m)\b", text)
    }
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    errors = sum(map(int, broken.groups())) if broken else 0
    errors += int(refused.group(1)) if refused else 0
    seconds = float(total.group(2)) * WRK_UNITS[total.group(3)] / 1000
    return Loaded(int(total.group(1)), errors, seconds, percentiles["50"], percentiles["99"])


class Watch:
    """What the machine did between ``__init__`` and ``noise``."""

    def __init__(self, server: Server | None = None) -> None:
        self._server = server
        self._begin = self._now()

    def _now(self) -> tuple[float, float, float, float, float]:
        """Clock, busy and stolen seconds of all cores, seconds of the server, seconds of our own."""
        times = psutil.cpu_times()
        busy = times.user + times.nice + times.system + times.irq + times.softirq
        served = self._server.cpu_seconds() if self._server else 0.0
        return time.perf_counter(), busy, times.steal, served, own_seconds()

    def noise(self) -> tuple[float, float, float]:
        """Processor seconds of the server, cores used by others, cores stolen."""
        pairs = zip(self._now(), self._begin, strict=True)
        elapsed, busy, steal, served, own = (after - before for after, before in pairs)
        return served, max(0.0, busy - served - own) / elapsed, steal / elapsed


def sample(server: Server, workload: Workload, seconds: float) -> Sample:
    """One sample of ``server`` under ``workload``."""
    watch = Watch(server)
    loaded = apply_load(server, workload, seconds)
    served, others, steal = watch.noise()
    return Sample(
        rate=loaded.requests / loaded.seconds,
        p50_ms=loaded.p50_ms,
        p99_ms=loaded.p99_ms,
        cpu_us=served / max(1, loaded.requests) * 1e6,
        errors=loaded.errors,
        others=others,
        steal=steal,
        p999_ms=loaded.p999_ms,
        share=loaded.requests / loaded.intended if workload.rate else 1.0,
        lag_ms=loaded.lag_ms,
    )


def sample_bare(workload: Workload, seconds: float) -> Sample:
    """One sample of the handler called in a loop with no server at all."""
    watch = Watch()
    rate = bare_loop(workload, seconds)
    _, others, steal = watch.noise()
    return Sample(rate=rate, others=others, steal=steal)


def own_seconds() -> float:
    """Processor time of this process and of the load generators it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (
            resource.getrusage(resource.RUSAGE_SELF),
            resource.getrusage(resource.RUSAGE_CHILDREN),
        )
    )
