from __future__ import annotations

import pytest

from flambeau.cli.torchserve import main


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("TS_CONFIG_FILE", raising=False)


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_version_is_the_line_that_tools_read(flag, capsys):
    assert main([flag]) == 0
    assert capsys.readouterr().out == "TorchServe Version is 0.12.0\n"


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
