"""The sides of the comparison: how each server is started with one workload, observed and stopped.

flambeau and TorchServe take the very same command line, settings and archive; mosec runs the same
handler functions through ``mosec_app``. Every server gets one worker, a free port, a folder of its
own, and ends with everything it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.workloads import Workload

HERE = Path(__file__).parent
WORK = HERE.parent / ".bench"
COMPILED = HERE.parent / ".venv" / "compiled"
START_LIMIT = 180.0
MODEL = "bench"
QUEUE = 1000
"""Above the largest number of connections, so that no side ever refuses a request."""


class Server:
    """One server's process tree and the address its predictions are asked from."""

    def __init__(
        self, command: list[str], folder: Path, environment: dict[str, str], port: int
    ) -> None:
        self.port = port
        self.path = "/inference"
        self.folder = folder
        self.log = folder / "output.txt"
        with self.log.open("wb") as output:
            self.process = psutil.Popen(
                command,
                cwd=folder,
                env={**_inherited(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def tree(self) -> list[psutil.Process]:
        """Every process of this server that lives now."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor time used so far by all its processes."""
        total = 0.0
        for each in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                total += times.user + times.system
        return total

    def front(self) -> psutil.Process:
        """The process that listens on the inference port."""
        for each in self.tree():
            if any(
                c.status == psutil.CONN_LISTEN and c.laddr.port == self.port
                for c in each.net_connections()
            ):
                return each
        raise RuntimeError(f"no process of {self.folder.name} listens on port {self.port}")

    def answer(self, workload: Workload) -> bool:
        """Whether one prediction works now. A wrong answer is an error, no answer is not."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.path}",
            data=workload.body(),
            headers={"Content-Type": workload.content_type},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return bool(reply.status == 200 and reply.read())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def wait_for(self, workload: Workload, pause: float = 0.05) -> None:
        """Returns once a prediction works. RuntimeError with the server's output when it ends first."""
        limit = time.monotonic() + START_LIMIT
        while not self.answer(workload):
            if self.process.poll() is not None or time.monotonic() > limit:
                tail = self.log.read_text(errors="replace")[-3000:]
                self.stop()
                raise RuntimeError(
                    f"{self.folder.name} gives no answer. Its output ends with:\n{tail}"
                )
            time.sleep(pause)

    def stop(self) -> None:
        """Nothing of this server runs afterwards."""
        everything = self.tree() if self.process.is_running() else []
        for each in reversed(everything):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.terminate()
        _, left = psutil.wait_procs(everything, timeout=10)
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait(10)


def _inherited() -> dict[str, str]:
    """This environment, in which Python may keep what it compiled, as an installed server does.

    What is installed in place for development is not compiled by pip.
    """
    return {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port


def empty_folder(name: str) -> Path:
    """``.bench/run/NAME``, empty."""
    folder = WORK / "run" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_archive(folder: Path, workload: Workload) -> None:
    """The workload's handler and settings as ``bench.mar`` in ``folder``."""
    folder.mkdir()
    manifest = {
        "createdOn": "01/01/2026 00:00:00",
        "runtime": "python",
        "model": {
            "modelName": MODEL,
            "modelVersion": "1.0",
            "handler": f"{workload.handler}.py",
            "configFile": "model-config.yaml",
        },
        "archiverVersion": "0.12.0",
    }
    config = f"minWorkers: 1\nmaxWorkers: 1\nbatchSize: {workload.batch}\nmaxBatchDelay: {workload.delay}\n"
    with zipfile.ZipFile(folder / f"{MODEL}.mar", "w") as archive:
        archive.write(HERE / "handlers" / f"{workload.handler}.py", f"{workload.handler}.py")
        archive.writestr("model-config.yaml", config)
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))


def torchserve_like(name: str, programs: Path, workload: Workload, **more: str) -> Server:
    """A server with TorchServe's command line; ``programs`` is the folder its commands lie in.

    Keywords are further settings.
    """
    folder = empty_folder(name)
    (folder / "temp").mkdir()
    write_archive(folder / "store", workload)
    port = free_port()
    settings = {
        "inference_address": f"http://127.0.0.1:{port}",
        "management_address": f"http://127.0.0.1:{free_port()}",
        "metrics_address": f"http://127.0.0.1:{free_port()}",
        "grpc_inference_port": free_port(),
        "grpc_management_port": free_port(),
        "job_queue_size": QUEUE,
        "number_of_gpu": 0,
        **more,
    }
    lines = "".join(f"{key}={value}\n" for key, value in settings.items())
    (folder / "config.properties").write_text(lines)
    command = [str(programs / "torchserve"), "--start", "--foreground", "--ncs"]
    command += ["--disable-token-auth", "--enable-model-api", "--model-store", "store"]
    command += ["--models", f"{MODEL}.mar", "--ts-config", "config.properties"]
    temp = str(folder / "temp")
    environment = {
        "TEMP": temp,
        "TMPDIR": temp,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    server = Server(command, folder, environment, port)
    server.path = f"/predictions/{MODEL}"
    return server


def flambeau(workload: Workload, **settings: str) -> Server:
    """The flambeau that runs this benchmark, with everything on: metrics, access log, request ids."""
    return torchserve_like("flambeau", Path(sys.executable).parent, workload, **settings)


def compiled(workload: Workload) -> Server:
    """The same from a compiled wheel, in the environment that ``make bench`` fills."""
    return torchserve_like("compiled", COMPILED / "bin", workload)


def torchserve(workload: Workload) -> Server:
    """The original."""
    return torchserve_like("torchserve", WORK / "torchserve" / "bin", workload)


def mosec(workload: Workload) -> Server:
    """mosec, a server with a front written in Rust."""
    port = free_port()
    command = [str(WORK / "mosec" / "bin" / "python"), str(HERE / "mosec_app.py")]
    command += ["--address", "127.0.0.1", "--port", str(port)]
    command += ["--log-level", "error", "--timeout", "30000"]
    environment = {
        "BENCH_HANDLER": workload.handler,
        "BENCH_BATCH": str(workload.batch),
        "BENCH_CONTENT_TYPE": workload.content_type,
    }
    return Server(command, empty_folder("mosec"), environment, port)


def bare_loop(workload: Workload, seconds: float) -> float:
    """Requests per second of a loop that calls the handler with no server at all."""
    form = "JSON" if workload.content_type == "application/json" else "RAW"
    command = [sys.executable, str(HERE / "bare_loop.py"), workload.handler, str(workload.batch)]
    done = subprocess.run(
        [*command, form, str(seconds)],
        input=workload.body(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout)


SIDES: dict[str, Callable[[Workload], Server]] = {
    "flambeau": flambeau,
    "compiled": compiled,
    "torchserve": torchserve,
    "mosec": mosec,
}


def another_flambeau(place: Path) -> Callable[[Workload], Server]:
    """The flambeau of another checkout with a ``.venv``, or of an environment. SystemExit: neither."""
    for programs in (place / ".venv" / "bin", place / "bin"):
        if (programs / "torchserve").is_file():
            return partial(torchserve_like, "before", programs.resolve())
    raise SystemExit(
        f"--before {place}: neither a checkout with flambeau in its .venv nor an environment with it"
    )
