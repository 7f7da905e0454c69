"""The real commands as subprocesses, against the real server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.running import free_ports

MARK = "org.pytorch.serve.ModelServer"
LIMIT = 60
ECHO = "def handle(data, context):\n    return None if data is None else ['ok' for _ in data]\n"
SLOW = (
    "import time\n"
    "def handle(data, context):\n"
    "    if data is None: return\n"
    "    time.sleep(3)\n"
    "    return ['slow' for _ in data]\n"
)


class Bench:
    """A folder with a model store, free ports, and a temporary folder (so: a pid file) of its own."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.temp = folder / "temp"
        self.store.mkdir()
        self.temp.mkdir()
        self.pid_file = self.temp / ".model_server.pid"
        self.inference, self.management, self.metrics = (f"http://127.0.0.1:{p}" for p in ports)
        (folder / "config.properties").write_text(
            f"inference_address={self.inference}\nmanagement_address={self.management}\n"
            f"metrics_address={self.metrics}\nmodel_store=store\ndefault_workers_per_model=1\n"
            "grpc_inference_port=0\ngrpc_management_port=0\n"
            "enable_model_api=true\nallowed_urls=https://models.example/.*\n"
        )
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TS_")},
            "TMPDIR": str(self.temp),
            "FLAMBEAU_ADDRESS": self.management,
            "COLUMNS": "200",
        }

    def popen(self, module: str, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    def torchserve(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("flambeau.cli.torchserve", *words)

    def flambeau(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("flambeau", *words)

    def server(self) -> psutil.Process:
        return psutil.Process(int(self.pid_file.read_text()))

    def key(self, kind: str) -> dict[str, str]:
        key = json.loads((self.folder / "key_file.json").read_text())[kind]["key"]
        return {"Authorization": f"Bearer {key}"}


def read_until(stream, text):
    """Every line up to the one that holds ``text``; fails when the stream ends before."""
    lines = []
    for line in stream:
        lines.append(line)
        if text in line:
            return lines
    pytest.fail(f"{text!r} was not printed:\n{''.join(lines)}")


@pytest.fixture
def bench(tmp_path, pack):
    made = Bench(tmp_path, free_ports(3))
    pack(made.store / "echo.mar", {"echo.py": ECHO}, handler="echo")
    yield made
    for process in psutil.process_iter(["cmdline", "environ"]):
        environment = process.info["environ"] or {}
        if environment.get("TMPDIR") == str(made.temp) and MARK in (process.info["cmdline"] or ()):
            process.kill()
            wait_for(lambda one=process: ended(one))


@pytest.fixture
def background(bench):
    """A server started as people start it; its output comes through the launcher's stdout."""
    launcher = bench.popen("flambeau.cli.torchserve", "--start", "--ncs", "--models", "echo.mar")
    with launcher:
        assert launcher.wait(LIMIT) == 0
        read_until(launcher.stdout, "Model server started.")
        yield bench


def test_a_start_in_the_background_returns_and_the_server_lives_on(background):
    server = background.server()
    assert MARK in server.cmdline()
    assert os.getsid(server.pid) == server.pid
    answer = httpx.get(f"{background.management}/models", headers=background.key("management"))
    assert answer.json()["models"] == [{"modelName": "echo", "modelUrl": "echo.mar"}]


def test_a_second_start_is_refused_and_changes_nothing(background):
    before = background.pid_file.read_text()
    result = background.torchserve("--start", "--model-store", "store")
    assert result.returncode == 1
    assert result.stdout == (
        "TorchServe is already running, please use torchserve --stop to stop TorchServe.\n"
    )
    assert background.pid_file.read_text() == before
    assert background.flambeau("serve").returncode == 1


def test_a_stop_removes_pid_file_and_key_file_and_says_so(background):
    server = background.server()
    assert (background.folder / "key_file.json").is_file()
    result = background.torchserve("--stop")
    assert (result.returncode, result.stdout) == (0, "TorchServe has stopped.\n")
    assert not background.pid_file.exists()
    assert not (background.folder / "key_file.json").exists()
    wait_for(lambda: ended(server))
    again = background.torchserve("--stop")
    assert (again.returncode, again.stdout) == (0, "TorchServe is not currently running.\n")


def test_a_stop_in_the_foreground_waits_until_the_server_has_ended(background):
    server = background.server()
    result = background.torchserve("--stop", "--foreground")
    assert (result.returncode, result.stdout) == (0, "TorchServe has stopped.\n")
    assert ended(server)
    assert list(background.temp.iterdir()) == []


def test_a_killed_server_leaves_an_orphan_pid_file_that_the_next_start_removes(background):
    server = background.server()
    server.kill()
    wait_for(lambda: ended(server))
    assert background.torchserve("--stop").stdout == "TorchServe is not currently running.\n"
    background.pid_file.write_text(str(server.pid))
    launcher = background.popen("flambeau.cli.torchserve", "--ncs")
    with launcher:
        lines = read_until(launcher.stdout, "Model server started.")
        assert lines[0] == "Removing orphan pid file.\n"
        assert launcher.wait(LIMIT) == 0
    assert background.torchserve("--stop", "--foreground").returncode == 0


def test_in_the_foreground_the_command_is_the_server_and_ends_with_zero(bench):
    process = bench.popen("flambeau.cli.torchserve", "--foreground", "--ncs")
    with process:
        read_until(process.stdout, "Model server started.")
        assert bench.server().pid == process.pid
        assert MARK in bench.server().cmdline()
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 0
    assert not bench.pid_file.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_serve_is_the_server_in_one_process_and_ends_with_zero(bench, number):
    process = bench.popen("flambeau", "serve", "store/echo.mar")
    with process:
        read_until(process.stdout, "Model server started.")
        server = bench.server()
        assert server.pid == process.pid
        assert MARK in server.cmdline()
        assert [line for child in server.children() if MARK in (line := child.cmdline())] == []
        process.send_signal(number)
        assert process.wait(LIMIT) == 0
    assert not bench.pid_file.exists()


def test_a_port_that_is_taken_ends_the_server_with_one_and_its_reason(bench):
    port = int(bench.inference.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        results = [bench.torchserve("--foreground", "--ncs"), bench.flambeau("serve")]
    for result in results:
        assert result.returncode == 1
        assert "Failed to bind to address: " in result.stdout + result.stderr
    assert not bench.pid_file.exists()


def test_what_was_accepted_is_answered_before_the_stop(bench, pack):
    pack(bench.store / "slow.mar", {"slow.py": SLOW}, handler="slow")
    process = bench.popen(
        *("flambeau.cli.torchserve", "--foreground", "--ncs"),
        *("--models", "slow.mar", "--disable-token-auth"),
    )
    with process, httpx.Client(timeout=LIMIT) as client:
        read_until(process.stdout, "Model server started.")
        assert client.get(f"{bench.inference}/ping").status_code == 200
        asking = subprocess.Popen(
            [
                *(sys.executable, "-c"),
                "import httpx, sys; print(httpx.post(sys.argv[1], content=b'x', timeout=60).text)",
                f"{bench.inference}/predictions/slow",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        with asking:
            wait_for(lambda: arrived(bench, client))
            assert asking.poll() is None
            stop = bench.popen("flambeau", "stop")
            assert asking.stdout.read() == "slow\n"
            with stop:
                assert "has stopped" in stop.stdout.read()
                assert stop.wait(LIMIT) == 0
        assert process.wait(LIMIT) == 0


def arrived(bench, client):
    """A request has reached the server."""
    metrics = client.get(f"{bench.metrics}/metrics").text.splitlines()
    return any(
        line.startswith("ts_inference_requests_total{") and not line.endswith(" 0.0")
        for line in metrics
    )


def ended(process):
    """The process is gone, or only its exit code is still kept for whoever started it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition):
    """Returns when ``condition`` holds; fails after a while."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            pytest.fail("what was waited for did not happen")
        time.sleep(0.05)


# --- flambeau serve, stop, models, token


@pytest.fixture
def served(bench):
    """A server started by ``flambeau serve`` in the foreground."""
    process = bench.popen("flambeau", "serve", "store/echo.mar", "--workers", "1")
    with process:
        try:
            read_until(process.stdout, "Model server started.")
            yield bench
        finally:
            process.terminate()
            assert process.wait(LIMIT) == 0


def test_serve_takes_an_archive_and_models_can_be_managed(served):
    assert json.loads(served.flambeau("models", "list", "--json").stdout) == [
        {"modelName": "echo", "modelUrl": "echo.mar"}
    ]
    registered = served.flambeau(
        "models", "register", "echo.mar", "--name", "two", "--workers", "1"
    )
    assert registered.stdout == 'Model "two" Version: 1.0 registered with 1 initial workers\n'
    scaled = served.flambeau("models", "scale", "two", "--min", "2", "--json")
    assert json.loads(scaled.stdout) == {"status": "Workers scaled to 2 for model: two"}
    [described] = json.loads(served.flambeau("models", "describe", "two", "--json").stdout)
    assert [worker["status"] for worker in described["workers"]] == ["READY", "READY"]
    assert served.flambeau("models", "default", "two", "1.0").returncode == 0
    assert "READY" in served.flambeau("models", "describe", "two", "1.0").stdout
    assert served.flambeau("models", "unregister", "two").stdout == 'Model "two" unregistered\n'
    absent = served.flambeau("models", "describe", "two")
    assert absent.returncode == 1
    assert absent.stderr == "Error: Model not found: two (404 ModelNotFoundException)\n"


def test_scaling_without_a_change_is_a_wrong_command_line(served):
    assert served.flambeau("models", "scale", "echo").returncode == 2


def test_a_rotated_key_replaces_the_old_one_at_once(served):
    old = served.key("inference")
    new = served.flambeau("token", "rotate", "inference").stdout.strip()
    url = f"{served.inference}/predictions/echo"
    assert httpx.post(url, content=b"x", headers=old).status_code == 400
    fresh = {"Authorization": f"Bearer {new}"}
    assert httpx.post(url, content=b"x", headers=fresh).text == "ok"
    assert served.flambeau("token", "show", "--kind", "inference").stdout.strip() == new


def test_a_wrong_key_is_told_with_the_remedy(served):
    result = served.flambeau("models", "list", "--token", "wrong")
    assert result.returncode == 1
    assert "FLAMBEAU_TOKEN" in result.stderr


def test_stop_ends_a_detached_server_and_then_fails(bench):
    started = bench.popen("flambeau", "serve", "--detach", "--no-tokens")
    with started:
        read_until(started.stdout, "Model server started.")
        assert started.wait(LIMIT) == 0
    server = bench.server()
    stopped = bench.flambeau("stop", "--json")
    assert json.loads(stopped.stdout) == {"pid": server.pid, "stopped": True}
    assert ended(server)
    assert bench.flambeau("stop").returncode == 1


def test_the_models_of_a_later_serve_are_its_own_unless_snapshots_are_asked_for(bench, pack):
    pack(bench.store / "other.mar", {"echo.py": ECHO}, handler="echo")

    def loaded(*words):
        process = bench.popen("flambeau", "serve", "--no-tokens", *words)
        with process:
            read_until(process.stdout, "Model server started.")
            found = json.loads(bench.flambeau("models", "list", "--json").stdout)
            process.terminate()
            assert process.wait(LIMIT) == 0
        return [model["modelName"] for model in found]

    assert loaded("--snapshots", "store/echo.mar") == ["echo"]
    assert loaded("store/other.mar") == ["other"]
    assert loaded("--snapshots", "store/other.mar") == ["echo"]


def test_settings_of_serve_reach_the_server(bench):
    words = ["serve", "--no-tokens", "--set", "job_queue_size=7"]
    process = bench.popen("flambeau", *words, "--models", "echo.mar")
    with process:
        read_until(process.stdout, "Model server started.")
        [described] = json.loads(bench.flambeau("models", "describe", "echo", "--json").stdout)
        process.terminate()
        assert process.wait(LIMIT) == 0
    assert described["jobQueueStatus"]["remainingCapacity"] == 7


def test_an_archive_is_packed_checked_and_served(bench):
    (bench.folder / "handler.py").write_text(ECHO)
    packed = bench.flambeau(
        *("archive", "--name", "made", "--version", "3", "--handler", "handler.py"),
        *("--out", "store", "--json"),
    )
    assert json.loads(packed.stdout)["archive"] == "store/made.mar"
    again = bench.flambeau(
        *("archive", "--name", "made", "--version", "3", "--handler", "handler.py"),
        *("--out", "store"),
    )
    assert again.returncode == 1
    assert "--force" in again.stderr
    assert bench.flambeau("check", "store/made.mar", "--data", "x").returncode == 0
