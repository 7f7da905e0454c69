from __future__ import annotations

import subprocess
import sys

import pytest

from flambeau.cli.mark import PROCESS_MARK
from flambeau.cli.torchserve import main, stays


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("TS_CONFIG_FILE", raising=False)


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_version_is_the_line_that_tools_read(flag, capsys):
    assert main([flag]) == 0
    assert capsys.readouterr().out == "TorchServe Version is 0.12.0\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--start", "--foreground"], True),
        (["--model-store", "store", "--fore"], True),
        (["--start"], False),
        (["--stop", "--foreground"], False),
        (["--sto", "--f"], False),
        ([PROCESS_MARK, "--foreground"], False),
        (["--foreground-not"], False),
    ],
)
def test_only_a_start_in_the_foreground_becomes_a_marked_process_once(words, expected):
    assert stays(words) is expected


def test_the_beginning_of_the_command_imports_nothing_of_the_server():
    code = "import sys, flambeau.cli.torchserve; print([n for n in sys.modules if 'flambeau' in n])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        ["flambeau", "flambeau.cli", "flambeau.cli.mark", "flambeau.cli.torchserve"]
    )


def test_stopping_nothing_is_told_and_no_failure(capsys, tmp_path):
    (tmp_path / "key_file.json").touch()
    assert main(["--stop"]) == 0
    assert capsys.readouterr().out == "TorchServe is not currently running.\n"
    assert (tmp_path / "key_file.json").exists()


def test_a_missing_model_store_is_told_on_stdout(capsys):
    assert main([]) == 1
    assert capsys.readouterr().out == "Missing mandatory parameter --model-store\n"


def test_an_orphan_pid_file_is_told_and_the_start_goes_on(capsys, tmp_path):
    (tmp_path / ".model_server.pid").write_text("4194305")
    assert main(["--start", "--model-store", "gone"]) == 1
    assert capsys.readouterr().out == (
        "Removing orphan pid file.\n--model-store directory not found: gone\n"
    )
    assert not (tmp_path / ".model_server.pid").exists()
