"""Archives and real servers for tests; ``conftest`` makes fixtures of them.

Tests that need only one of the parts import it from here: ``from tests.running import free_ports``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STARTED = "Model server started."
START_LIMIT = 60.0
STOP_LIMIT = 60.0
LOWEST_PORT = 10_000
LOWEST_GIVEN_OUT = 32_768
"""Linux gives ports from here on to whoever asks for any."""
SHARES = 16
"""As many processes of one run have ports of their own."""
_given: set[int] = set()


def write_archive(
    path: Path,
    files: Mapping[str, str | bytes],
    *,
    handler: str,
    name: str | None = None,
    version: str = "1.0",
    config: str | None = None,
    model: Mapping[str, str] | None = None,
) -> Path:
    """``path``, now a model archive with ``files`` at its root and a manifest.

    ``config`` becomes model-config.yaml; ``model`` adds or replaces keys of the manifest's
    ``model`` object.
    """
    described = {"modelName": name or path.stem, "modelVersion": version, "handler": handler}
    members = dict(files)
    if config is not None:
        members["model-config.yaml"] = config
        described["configFile"] = "model-config.yaml"
    manifest = {
        "createdOn": "01/01/2026 00:00:00",
        "runtime": "python",
        "model": described | dict(model or {}),
        "archiverVersion": "0.12.0",
    }
    members["MAR-INF/MANIFEST.json"] = json.dumps(manifest)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def free_ports(count: int) -> list[int]:
    """Distinct ports nobody listens on at this moment, below those that the system gives out.

    Nobody else asks for them in the meantime: each process of a parallel run has ports of its own,
    and gives none twice in a row.
    """
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SHARES
    own = range(LOWEST_PORT + share, LOWEST_GIVEN_OUT, SHARES)
    if len(_given) > len(own) // 2:
        _given.clear()  # the servers that had them are long gone
    candidates = sorted(set(own) - _given)
    held: list[socket.socket] = []
    with contextlib.ExitStack() as opened:
        # The order is not that of the seeded generator, which all processes of a run share.
        for port in random.SystemRandom().sample(candidates, len(candidates)):
            with contextlib.suppress(OSError):
                held.append(opened.enter_context(socket.create_server(("127.0.0.1", port))))
            if len(held) == count:
                found = [each.getsockname()[1] for each in held]
                _given.update(found)
                return found
    pytest.fail(f"no {count} free ports between {LOWEST_PORT} and {LOWEST_GIVEN_OUT}")


class LiveServer:
    """A server process in ``folder``, its addresses, and an HTTP client without time-outs of its own.

    ``output`` collects every line the server prints. Use as a context manager: leaving sends
    SIGTERM (unless the process has ended) and asserts exit code 0.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], flags: Sequence[str]) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.temp = folder / "temp"
        self.store.mkdir(parents=True, exist_ok=True)
        self.temp.mkdir(exist_ok=True)
        inference, management, metrics, grpc_inference, grpc_management = free_ports(5)
        values = {
            "inference_address": f"http://127.0.0.1:{inference}",
            "management_address": f"http://127.0.0.1:{management}",
            "metrics_address": f"http://127.0.0.1:{metrics}",
            "grpc_inference_port": str(grpc_inference),
            "grpc_management_port": str(grpc_management),
            "enable_model_api": "true",
            "disable_token_authorization": "true",
            "default_workers_per_model": "1",
        } | dict(settings)
        self.inference = values["inference_address"]
        self.management = values["management_address"]
        self.metrics = values["metrics_address"]
        (folder / "config.properties").write_text(
            "".join(f"{key}={value}\n" for key, value in values.items())
        )
        self.flags = list(flags)
        self.output: list[str] = []
        self.client = httpx.Client(timeout=60.0)
        self._settled = threading.Event()

    def command(self) -> list[str]:
        """What is run, ``flags`` follow; here without snapshots."""
        command = [sys.executable, "-m", "flambeau.cli.run", "--start", "--foreground", "--ncs"]
        return [*command, "--model-store", str(self.store), "--ts-config", "config.properties"]

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Returns once the server says it has started; fails the test with its output if it does not."""
        # Anew for each process: the reader of the one before may not have come to its end.
        self.output, self._settled = [], threading.Event()
        self.process = subprocess.Popen(
            self.command() + self.flags,
            cwd=self.folder,
            env=os.environ
            | {"TEMP": str(self.temp), "TMPDIR": str(self.temp)}
            | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        collecting = (self.process, self.output, self._settled)
        self._reader = threading.Thread(target=self._collect, args=collecting, daemon=True)
        self._reader.start()
        if not self._settled.wait(START_LIMIT) or not self.started:
            self.process.kill()
            self.process.wait()
            pytest.fail("the server did not start:\n" + "".join(self.output))

    @staticmethod
    def _collect(
        process: subprocess.Popen[str], output: list[str], settled: threading.Event
    ) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                output.append(line)
                if STARTED in line:
                    settled.set()
        settled.set()

    @property
    def started(self) -> bool:
        """The line that clients wait for has been printed."""
        return any(STARTED in line for line in self.output)

    def register(self, url: str, **parameters: str | int) -> httpx.Response:
        """The answer of a synchronous register call, one worker unless ``initial_workers`` says other."""
        query = {"url": url, "initial_workers": 1, "synchronous": "true"} | parameters
        return self.client.post(f"{self.management}/models", params=query)

    def predict(self, model: str, content: bytes | str = b"", **request: object) -> httpx.Response:
        """The answer of one prediction; further keywords go to ``httpx.Client.post``."""
        return self.client.post(f"{self.inference}/predictions/{model}", content=content, **request)

    def workers(self, model: str) -> list[dict[str, object]]:
        """The workers of the default version, as describe lists them."""
        return self.client.get(f"{self.management}/models/{model}").json()[0]["workers"]

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """The exit code after one signal."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        code = self.process.wait(STOP_LIMIT)
        self._reader.join(STOP_LIMIT)
        return code

    def close(self) -> None:
        """Never leaves a process behind, whatever the test did."""
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(STOP_LIMIT)
