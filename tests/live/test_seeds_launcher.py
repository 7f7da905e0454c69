"""The scripts that a published text shows for ``ts.launcher``, against a server they start themselves.

They need port 8081 itself, so they run in a network of their own; where that is not allowed, only
if the ports are free.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.running import write_archive

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 60
ECHO = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"
SCRIPT = """
import functools, sys
print = functools.partial(print, file=sys.stderr)  # the launcher shows the server's lines on stdout
from ts.launcher import register_model, register_model_with_params, start, stop

start(
    model_store="store", no_config_snapshots=True, disable_token=True, enable_model_api=True
)
try:
    response = register_model("squeezenet", "squeezenet1_1.mar")
    print(response.status_code)  # 200
    print(response.json())       # {"status": "Model ..."}

    params = {
        "model_name": "bert",
        "url": "bert.mar",
        "initial_workers": "4",
        "batch_size": "16",
        "max_batch_delay": "200",
        "synchronous": "true",
        "response_timeout": "300",
    }
    response = register_model_with_params(params)
    print(response.status_code)  # 200

    import requests

    BASE = "http://localhost:8081"

    requests.post(f"{BASE}/models", params={
        "url": "resnet18.mar",
        "initial_workers": "2",
        "synchronous": "true",
    })
    status = requests.get(f"{BASE}/models/resnet18").json()
    print(f"Workers: {len(status[0]['workers'])}")
    requests.put(f"{BASE}/models/resnet18", params={
        "min_worker": "8",
        "synchronous": "true",
    })
    print(len(requests.get(f"{BASE}/models/resnet18").json()[0]["workers"]))
    requests.put(f"{BASE}/models/resnet18", params={
        "min_worker": "2",
        "synchronous": "true",
    })
    print(len(requests.get(f"{BASE}/models/resnet18").json()[0]["workers"]))
    requests.delete(f"{BASE}/models/resnet18")
    print(requests.get(f"{BASE}/models/resnet18").status_code)
    [bert] = requests.get(f"{BASE}/models/bert").json()
    print(len(bert["workers"]), bert["batchSize"], bert["maxBatchDelay"], bert["responseTimeout"])
finally:
    stop()
"""
LOOPBACK = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
    fcntl.ioctl(anything, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS: up
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Turns the loopback interface of a new network on, then becomes the script that is named."""


def own_network() -> list[str] | None:
    """The words in front of a command that give it ports nobody else uses; None for no way."""
    words = ["unshare", "--map-root-user", "--net"]
    if (
        shutil.which("unshare")
        and not subprocess.run([*words, "true"], capture_output=True, check=False).returncode
    ):
        return [*words, sys.executable, "-c", LOOPBACK]
    try:
        for port in (8080, 8081, 8082, 7070, 7071):
            socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return None
    return [sys.executable]


def test_the_launcher_scripts_of_the_management_page(tmp_path: Path) -> None:
    words = own_network()
    if words is None:
        pytest.skip("port 8081 is taken and a network of its own is not allowed here")
    for name in ("squeezenet1_1", "bert", "resnet18"):
        write_archive(tmp_path / "store" / f"{name}.mar", {"h.py": ECHO}, handler="h")
    script = tmp_path / "example.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [*words, str(script)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.splitlines() == [
        "200",
        "{'status': 'Model \"squeezenet\" Version: 1.0 registered with 1 initial workers'}",
        "200",
        "Workers: 2",
        "8",
        "2",
        "404",
        "4 16 200 300",
    ]
    assert "TorchServe has stopped." in done.stdout
    assert list(tmp_path.glob("flambeau-*")) == []
