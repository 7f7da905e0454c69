"""Archives that cannot be served: told at once, with the cause, and nothing stays behind."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING

import pytest
from watching import family, model_log, unpacked, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.running import LiveServer

GOOD = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"
INITIALIZE = "class Model:\n    def initialize(self, context):\n        {}\n"
INITIALIZE += "    def handle(self, data, context):\n        return ['ok'] * len(data)\n"

BROKEN = {
    "a library that is not there": (
        "import not_installed_anywhere\n" + GOOD,
        500,
        r"ModuleNotFoundError: No module named 'not_installed_anywhere' \(.*model\.py.*1.*\)",
    ),
    "a typing mistake": ("def handle(data, context)\n    return data\n", 500, r"SyntaxError"),
    "a load that fails": (
        INITIALIZE.format("raise RuntimeError('no weights at s3')"),
        500,
        r"RuntimeError: no weights at s3 \(.*model\.py.*3.*\)",
    ),
    "too little memory": (INITIALIZE.format("raise MemoryError('8 GB')"), 507, r"MemoryError"),
    "an exit while loading": (INITIALIZE.format("import os; os._exit(3)"), 500, r"ended while"),
    "a polite exit while loading": (INITIALIZE.format("raise SystemExit(3)"), 500, r"SystemExit"),
}


@pytest.fixture
def server(serve: Callable[..., LiveServer]) -> LiveServer:
    return serve()


def nothing_stays(server: LiveServer) -> None:
    """No model, no worker, no unpacked files, no change to the store."""
    assert server.client.get(f"{server.management}/models").json()["models"] == []
    assert server.client.get(f"{server.management}/models/model").status_code == 404
    assert unpacked(server) == []
    assert [path.name for path in server.store.iterdir()] == ["model.mar"]
    assert [child for child in family(server.process.pid) if "W-" in child.name()] == []


def mended(server: LiveServer, pack: Callable[..., Path]) -> None:
    """The same call works once the file is right."""
    pack(server.store / "model.mar", {"model.py": GOOD}, handler="model")
    answer = server.register("model.mar")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": 'Model "model" Version: 1.0 registered with 1 initial workers'},
    )
    assert server.predict("model").text == "ok"


def test_each_broken_handler_is_told_with_its_cause_and_place_and_can_be_mended(
    server: LiveServer, pack: Callable[..., Path]
) -> None:
    for name, (source, status, words) in BROKEN.items():
        pack(server.store / "model.mar", {"model.py": source}, handler="model")
        answer = server.register("model.mar")
        assert answer.status_code == status, f"{name}: {answer.text}"
        assert answer.json()["type"] == "InternalServerException"
        message = answer.json()["message"]
        assert message.startswith("Failed to start workers for model model version: 1.0: "), name
        assert re.search(words, message), f"{name}: {message}"
        nothing_stays(server)
    mended(server, pack)


def test_a_handler_that_is_not_in_the_archive_is_named(
    server: LiveServer, pack: Callable[..., Path]
) -> None:
    pack(server.store / "model.mar", {"other.py": GOOD}, handler="missing.py")
    answer = server.register("model.mar")
    assert answer.status_code == 500
    assert "missing" in answer.json()["message"]
    nothing_stays(server)
    pack(server.store / "model.mar", {"model.py": GOOD}, handler="model:absent")
    answer = server.register("model.mar")
    assert answer.status_code == 500
    assert "absent" in answer.json()["message"]
    nothing_stays(server)
    mended(server, pack)


def test_a_damaged_file_is_told_whatever_is_wrong_with_it(
    server: LiveServer, pack: Callable[..., Path]
) -> None:
    path = server.store / "model.mar"
    whole = pack(path, {"model.py": GOOD * 50, "weights.bin": b"\0" * 4096}, handler="model")
    content = whole.read_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "noise": b"no archive at all " * 10,
        "bits": content[:80] + bytes(255 - byte for byte in content[80:160]) + content[160:],
    }
    for name, bad in damaged.items():
        path.write_bytes(bad)
        answer = server.register("model.mar")
        assert answer.status_code in (400, 500), f"{name}: {answer.status_code} {answer.text}"
        assert "model.mar" in answer.json()["message"], f"{name}: {answer.text}"
        nothing_stays(server)
    mended(server, pack)


def test_a_manifest_that_is_wrong_or_missing_is_told(
    server: LiveServer, pack: Callable[..., Path]
) -> None:
    path = server.store / "model.mar"
    for manifest in ('{"model": ', json.dumps({"model": {"modelName": ["no", "name"]}})):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.py", GOOD)
            archive.writestr("MAR-INF/MANIFEST.json", manifest)
        answer = server.register("model.mar")
        assert answer.status_code == 400, answer.text
        assert answer.json()["message"] == "Failed to parse signature.json."
        nothing_stays(server)
    mended(server, pack)


def test_an_asynchronous_register_shows_the_cause_in_describe_and_heals_by_itself(
    server: LiveServer, pack: Callable[..., Path]
) -> None:
    weights = server.temp / "weights"
    source = INITIALIZE.format(f"print(open({str(weights)!r}).read())")
    pack(server.store / "model.mar", {"model.py": source}, handler="model")
    answer = server.register("model.mar", synchronous="false")
    assert answer.json() == {"status": "Processing worker updates..."}

    def failed() -> bool:
        return server.workers("model")[0].get("tries", 0) >= 2

    until(failed, "the worker has failed twice")
    [worker] = server.workers("model")
    assert worker["state"] == "failed"
    assert worker["status"] == "UNLOADING"
    assert str(worker["cause"]).startswith("FileNotFoundError: [Errno 2] No such file or directory")
    assert "model.py" in str(worker["cause"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(worker["nextTry"]))
    weights.write_text("these are the weights")
    until(lambda: server.workers("model")[0]["status"] == "READY", "the worker heals")
    assert not {"state", "cause", "tries", "nextTry"} & set(server.workers("model")[0])
    assert server.predict("model").text == "ok"
    until(
        lambda: any("these are the weights" in line for line in model_log(server)),
        "what the handler printed is in the log",
    )


def test_one_bad_model_at_start_does_not_stop_the_others(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve(
        {"good.mar": {"good.py": GOOD}, "bad.mar": {"bad.py": "import not_installed_anywhere\n"}},
        models="bad.mar,good.mar,absent.mar",
    )
    until(lambda: server.workers("good")[0]["status"] == "READY", "the good one is ready")
    assert server.predict("good").text == "ok"
    until(lambda: server.workers("bad")[0].get("tries", 0) >= 1, "the bad one has failed")
    assert "not_installed_anywhere" in str(server.workers("bad")[0]["cause"])
    assert server.client.get(f"{server.management}/models/absent").status_code == 404
    assert any("absent.mar" in line for line in server.output)
