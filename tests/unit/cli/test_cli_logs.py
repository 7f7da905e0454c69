from __future__ import annotations

import gzip
import json

import pytest
from click.testing import CliRunner

from flambeau.cli.flambeau_command import cli

ID = "4e0b8c4e-0d2e-4c57-9f1c-0e7c4a7b5a11"
OTHER = "99999999-0d2e-4c57-9f1c-0e7c4a7b5a11"
TRACE = f"[{ID}] Traceback (most recent call last):\n[{ID}] ValueError: no\n"


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "logs"
    found.mkdir()
    return found


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOG_LOCATION", raising=False)
    return lambda *words: CliRunner().invoke(cli, ["logs", *words], prog_name="flambeau")


def test_a_traceback_is_found_once_although_it_is_written_twice(run, folder):
    (folder / "model_log.log").write_text(
        "".join(f"12:00 [WARN ] W-1 MODEL_LOG - {line}\n" for line in TRACE.splitlines())
    )
    (folder / "ts_log.log").write_text(
        "".join(f"12:00 [WARN ] W-1 MODEL_LOG - {line}\n" for line in TRACE.splitlines())
        + f"12:00 [ERROR] main flambeau.rest - unexpected error request_id={ID}\n"
        + f"12:00 [ERROR] main flambeau.rest - unexpected error request_id={OTHER}\n"
    )
    result = run("--request", ID)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"model_log.log: 12:00 [WARN ] W-1 MODEL_LOG - [{ID}] Traceback (most recent call last):",
        f"model_log.log: 12:00 [WARN ] W-1 MODEL_LOG - [{ID}] ValueError: no",
        f"ts_log.log: 12:00 [ERROR] main flambeau.rest - unexpected error request_id={ID}",
    ]


def test_rolled_and_compressed_files_are_read_too_oldest_first(run, folder):
    for name in ("2026-11-09.2.log.gz", "2026-11-09.10.log.gz"):
        with gzip.open(folder / f"access_log.{name}", "wt") as file:
            file.write(f"{name} {ID}\n{name} {OTHER}\n")
    (folder / "access_log.2026-11-08.1.log").write_text(f"first {ID}\n")
    (folder / "access_log.log").write_text(f"last {ID}\n")
    (folder / "access_log.2026-11-08.1.log.tmp").write_text(f"no log {ID}\n")
    result = run("--request", ID[:8], "--log-location", str(folder), "--json")
    assert [one["line"].split()[0] for one in json.loads(result.stdout)] == [
        "first",
        "2026-11-09.2.log.gz",
        "2026-11-09.10.log.gz",
        "last",
    ]


def test_a_request_nobody_logged_is_told_with_the_remedy(run, folder):
    (folder / "access_log.log").write_text(f"{OTHER}\n")
    result = run("--request", ID)
    assert result.exit_code == 1
    assert "log_format=json" in result.stderr


@pytest.mark.parametrize("words", [[], ["--request", ""], ["--request", "4e0b"]])
def test_an_id_is_needed_that_tells_requests_apart(run, folder, words):
    assert run(*words).exit_code == 2


def test_a_missing_folder_and_a_broken_file_are_told(run, folder):
    absent = run("--request", ID, "--log-location", "elsewhere")
    assert (absent.exit_code, "--log-location" in absent.stderr) == (1, True)
    (folder / "ts_log.2026-11-09.1.log.gz").write_bytes(b"no gzip")
    broken = run("--request", ID)
    assert broken.exit_code == 1
    assert "cannot be read" in broken.stderr
