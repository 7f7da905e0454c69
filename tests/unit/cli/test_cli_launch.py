from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flambeau.cli import launch
from flambeau.cli.mark import PROCESS_MARK
from flambeau.cli.pidfile import PidFile
from flambeau.config.load import Flags


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TS_CONFIG_FILE", "LOG_LOCATION", "TEMP"):
        monkeypatch.delenv(name, raising=False)


def refused(**given):
    with pytest.raises(launch.LaunchError) as caught:
        launch.checked(Flags(**given))
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "Missing mandatory parameter --model-store"),
        ({"model_store": "gone"}, "--model-store directory not found: gone"),
        (
            {"model_store": ".", "workflow_store": "gone"},
            "--workflow-store directory not found: gone",
        ),
        ({"model_store": ".", "ts_config": "gone"}, "--ts-config file not found: gone"),
        ({"model_store": ".", "log_config": "gone"}, "--log-config file not found: gone"),
        ({"model_store": ".", "cpp_log_config": "gone"}, "--cpp-log-config file not found: gone"),
    ],
)
def test_what_is_not_there_is_named(given, text):
    assert refused(**given) == text


def test_the_model_store_may_stand_in_the_file(tmp_path):
    (tmp_path / "config.properties").write_text("model_store=store")
    assert refused() == f"--model-store directory not found: {tmp_path / 'store'}"
    (tmp_path / "store").mkdir()
    assert launch.checked(Flags()).options.model_store == tmp_path / "store"


def test_the_variable_for_the_file_makes_the_flag_unimportant(tmp_path, monkeypatch):
    (tmp_path / "env.properties").write_text("job_queue_size=3")
    monkeypatch.setenv("TS_CONFIG_FILE", "env.properties")
    loaded = launch.checked(Flags(ts_config="gone", model_store="."))
    assert loaded.options.job_queue_size == 3


def test_a_bad_setting_stops_the_launcher(tmp_path):
    (tmp_path / "config.properties").write_text("inference_address=here")
    assert refused(model_store=".").startswith("Invalid configuration: config.properties:1:")


def test_an_orphan_pid_file_is_removed_and_told(tmp_path):
    file = PidFile(tmp_path / "pid")
    assert launch.claim(file) is False
    file.write(2**22 + 1)
    assert launch.claim(file) is True
    assert not file.exists()


def test_the_server_process_carries_the_mark_and_the_flags(tmp_path):
    command = launch.command(Flags(model_store="s"), PidFile(tmp_path / "pid"))
    assert command[:4] == [sys.executable, "-m", "flambeau.cli.run", PROCESS_MARK]
    assert "--model-store=s" in command
    assert f"--pid-file={tmp_path / 'pid'}" in command


def marked(source):
    process = subprocess.Popen(
        [sys.executable, "-c", source, PROCESS_MARK], stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    return process


def test_a_second_start_is_refused_while_a_server_runs(tmp_path):
    file = PidFile(tmp_path / "pid")
    with marked("print(flush=True); import signal; signal.pause()") as process:
        file.write(process.pid)
        with pytest.raises(launch.LaunchError, match=r"^TorchServe is already running"):
            launch.claim(file)
        assert launch.stop(file, wait_s=10) is True
    assert file.exists()


def test_a_server_that_does_not_end_in_time_is_told_of(tmp_path):
    file = PidFile(tmp_path / "pid")
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    with marked(f"{ignore}print(flush=True); signal.pause()") as process:
        file.write(process.pid)
        assert launch.stop(file, wait_s=0.1) is False
        process.kill()
    assert launch.stop(file, wait_s=0.1) is None
    assert not file.exists()


def test_a_server_that_its_parent_has_not_waited_for_counts_as_ended(tmp_path):
    file = PidFile(tmp_path / "pid")
    with marked("print(flush=True); import signal; signal.pause()") as process:
        file.write(process.pid)
        assert launch.stop(file, wait_s=10) is True
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE


def test_an_installed_torchserve_is_told_of_with_the_remedy(tmp_path, monkeypatch):
    assert launch.rival_installation() is None
    folder = tmp_path / "site" / "torchserve-0.12.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: torchserve\nVersion: 0.12.0\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    warning = launch.rival_installation()
    assert warning.startswith("WARNING: torchserve 0.12.0 is installed beside flambeau")
    assert "pip uninstall torchserve" in warning


def test_paths_are_looked_for_from_the_working_directory(tmp_path):
    (tmp_path / "store").mkdir()
    loaded = launch.checked(Flags(model_store="store"))
    assert loaded.options.model_store == Path.cwd() / "store"
