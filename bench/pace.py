"""The load generator of the latency rows: ``pace.c``, compiled into ``.bench`` where there is a C compiler.

None of the generators a distribution brings sends at a fixed rate, counts from the moment a request
was meant to leave, and tells p99.9; and beside a server on two cores it must cost little.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bench.servers import WORK

if TYPE_CHECKING:
    from bench.workloads import Workload

SOURCE = Path(__file__).with_name("pace.c")
PROGRAM = WORK / "pace"


def pace() -> Path | None:
    """The program, made from the source of today. None: it could not be made."""
    if PROGRAM.is_file() and PROGRAM.stat().st_mtime >= SOURCE.stat().st_mtime:
        return PROGRAM
    return None


def provide_pace() -> None:
    """Compile it. Where that fails the rows with a fixed rate are left out, and this says why."""
    if pace():
        return
    compiler = shutil.which("cc")
    trouble = "there is no `cc`"
    if compiler:
        PROGRAM.parent.mkdir(exist_ok=True)
        done = subprocess.run(
            [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(PROGRAM), str(SOURCE)],
            capture_output=True,
            text=True,
            check=False,
        )
        trouble = done.stderr.strip()
    if not pace():
        print(f"no rows with a fixed rate, for bench/pace.c needs a C compiler: {trouble}")


def apply_pace(
    program: Path, port: int, path: str, workload: Workload, seconds: float
) -> dict[str, float]:
    """What it printed: see the head of ``pace.c``. CalledProcessError when the load broke off."""
    body = workload.body()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: {workload.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    done = subprocess.run(
        [str(program), str(port), str(workload.connections), str(seconds), str(workload.rate)],
        input=head.encode() + body,
        stdout=subprocess.PIPE,
        check=True,
    )
    printed: dict[str, float] = json.loads(done.stdout)
    return printed
