"""The example from training to answers, with the commands people type."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.running import LiveServer

pytestmark = pytest.mark.torch
pytest.importorskip("torch")
pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    weights = folder / "digits.pt"
    subprocess.run([sys.executable, EXAMPLE / "train.py", "--out", weights], check=True)
    command = [PROGRAMS / "torch-model-archiver", "--model-name", "digits", "--version", "1.0"]
    command += ["--model-file", EXAMPLE / "model.py", "--serialized-file", weights]
    command += ["--handler", EXAMPLE / "handler.py", "--extra-files", EXAMPLE / "png.py"]
    command += ["--config-file", EXAMPLE / "model-config.yaml", "--export-path", folder]
    subprocess.run(command, check=True)
    return folder / "digits.mar"


@pytest.fixture
def server(archive: Path, serve: Callable[..., LiveServer]) -> LiveServer:
    running = serve()
    shutil.copy(archive, running.store)
    assert running.register("digits.mar").status_code == 200
    return running


def test_the_shipped_picture_is_a_seven_in_both_forms(server: LiveServer) -> None:
    answers = [
        server.predict("digits", (EXAMPLE / "digit.png").read_bytes()),
        server.predict(
            "digits",
            (EXAMPLE / "digit.json").read_bytes(),
            headers={"Content-Type": "application/json"},
        ),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["digit"] == 7
        assert answer.json()["probability"] > 0.9


def test_a_picture_that_cannot_be_read_is_the_clients_mistake(server: LiveServer) -> None:
    answer = server.predict("digits", b"not a picture")
    assert answer.status_code == 400
    assert "cannot read the picture: not a PNG file" in answer.json()["message"]
    wide = server.predict(
        "digits", json.dumps([[0] * 9] * 8), headers={"Content-Type": "application/json"}
    )
    assert wide.status_code == 400
    assert "8x9" in wide.json()["message"]


def test_a_picture_sent_as_a_form_by_mistake_is_told_how_to_be_sent(server: LiveServer) -> None:
    """What ``curl -d`` and ``curl --data-binary`` do when no content type is given."""
    answer = server.predict(
        "digits",
        (EXAMPLE / "digit.png").read_bytes(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 400
    assert "no picture came" in answer.json()["message"]
    assert "-T digit.png" in answer.json()["message"]


def test_the_scale_call_of_the_printed_lines_gives_a_second_worker(server: LiveServer) -> None:
    answer = server.client.put(
        f"{server.management}/models/digits", params={"min_worker": 2, "synchronous": "true"}
    )
    assert answer.json() == {"status": "Workers scaled to 2 for model: digits"}
    assert [each["status"] for each in server.workers("digits")] == ["READY", "READY"]


def test_check_runs_the_archive_without_a_server(archive: Path) -> None:
    command = [PROGRAMS / "flambeau", "check", archive, "--input", EXAMPLE / "digit.png", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7" in done.stdout
