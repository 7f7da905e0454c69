"""Snapshots of a real server: when they are written, what they bring back, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import javaproperties
import pytest
from watching import until

from tests.running import LiveServer, write_archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ECHO = "def handle(data, context):\n    return data and ['{}'] * len(data)\n"
LIMIT = 60


class Keeper(LiveServer):
    """A server with snapshots; started again in its folder, it takes up the newest."""

    def command(self) -> list[str]:
        command = [sys.executable, "-m", "flambeau.cli.run", "--start", "--foreground"]
        return [*command, "--model-store", str(self.store)]

    def begin(self, *flags: str) -> None:
        """Start, with these flags only."""
        self.flags = list(flags)
        self.start()

    def refused(self, *flags: str) -> str:
        """What it says when it ends with 1 instead of starting."""
        done = subprocess.run(
            [*self.command(), *flags],
            cwd=self.folder,
            env={**os.environ, "TEMP": str(self.temp), "TMPDIR": str(self.temp)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stdout
        assert list(self.temp.glob("flambeau-*")) == []
        return done.stdout

    @property
    def kept(self) -> Path:
        return self.folder / "logs" / "config"

    def files(self) -> list[str]:
        """Names in the folder of snapshots, oldest first."""
        return sorted(path.name for path in self.kept.iterdir()) if self.kept.is_dir() else []

    def occasions(self) -> list[str]:
        return [name.partition("-")[2] for name in self.files()]

    def newest(self) -> dict[str, Any]:
        """The models of the newest snapshot."""
        text = (self.kept / self.files()[-1]).read_text()
        return dict(json.loads(javaproperties.loads(text)["model_snapshot"])["models"])

    def manage(self, method: str, target: str) -> Any:
        answer = self.client.request(method, f"{self.management}/models{target}")
        assert answer.status_code < 300, answer.text
        return answer.json()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    """A server that is not started, with ``one.mar`` and two versions of ``two`` in its store."""
    made = Keeper(tmp_path, {"job_queue_size": "17"}, [])
    for file, name, version in (
        ("one.mar", "one", "1.0"),
        ("two.mar", "two", "1.0"),
        ("newer.mar", "two", "2.0"),
    ):
        source = ECHO.format(f"{name} {version}")
        write_archive(
            made.store / file, {"echo.py": source}, handler="echo", name=name, version=version
        )
    yield made
    if hasattr(made, "process"):
        made.stop()
        made.close()
        assert made.process.returncode == 0
    made.client.close()


def fill(keeper: Keeper) -> None:
    """One model; a second with two versions, scaled and the newer one made the default."""
    keeper.manage("POST", "?url=one.mar&initial_workers=1&batch_size=4&max_batch_delay=7")
    keeper.manage("POST", "?url=two.mar&initial_workers=0&response_timeout=33")
    keeper.manage("POST", "?url=newer.mar&initial_workers=1")
    keeper.manage("PUT", "/two/1.0?min_worker=1&max_worker=2&synchronous=true")
    keeper.manage("PUT", "/two/2.0/set-default")


def test_every_change_is_written_at_once_and_whole(keeper: Keeper) -> None:
    keeper.begin()
    assert keeper.occasions() == ["startup.cfg"]
    assert keeper.newest() == {}
    fill(keeper)
    assert keeper.occasions() == ["startup.cfg", *["snapshot.cfg"] * 5]
    models = keeper.newest()
    assert models["one"]["1.0"] == {
        "defaultVersion": True,
        "marName": "one.mar",
        "minWorkers": 1,
        "maxWorkers": 1,
        "batchSize": 4,
        "maxBatchDelay": 7,
        "responseTimeout": 120,
        "startupTimeout": 120,
        "runtimeType": "python",
    }
    assert models["two"]["1.0"]["responseTimeout"] == 33
    assert models["two"]["1.0"]["defaultVersion"] is False
    assert models["two"]["2.0"]["defaultVersion"] is True
    assert (models["two"]["1.0"]["minWorkers"], models["two"]["1.0"]["maxWorkers"]) == (1, 2)
    keeper.manage("DELETE", "/one")
    assert set(keeper.newest()) == {"two"}
    assert keeper.stop() == 0
    assert keeper.occasions() == ["startup.cfg", *["snapshot.cfg"] * 6, "shutdown.cfg"]
    assert set(keeper.newest()) == {"two"}


def test_a_refused_change_writes_nothing(keeper: Keeper) -> None:
    keeper.begin()
    answer = keeper.client.post(f"{keeper.management}/models?url=absent.mar")
    assert answer.status_code == 404
    assert keeper.client.put(f"{keeper.management}/models/absent").status_code == 404
    assert keeper.occasions() == ["startup.cfg"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_brings_everything_back(keeper: Keeper, end: str) -> None:
    keeper.begin()
    fill(keeper)
    before = keeper.newest()
    if end == "stop":
        assert keeper.stop() == 0
    else:
        keeper.process.kill()
        keeper.process.wait()
    (keeper.folder / "config.properties").unlink()
    keeper.begin("--models", "absent.mar")
    assert keeper.newest() == before
    until(
        lambda: [each["status"] for each in keeper.workers("two")] == ["READY"], "two 2.0 is ready"
    )
    until(lambda: [each["status"] for each in keeper.workers("one")] == ["READY"], "one is ready")
    assert keeper.predict("two").text == "two 2.0"
    assert keeper.predict("one").text == "one 1.0"
    [one] = keeper.manage("GET", "/one")
    assert (one["batchSize"], one["maxBatchDelay"], one["loadedAtStartup"]) == (4, 7, False)
    assert one["jobQueueStatus"]["remainingCapacity"] == 17
    [older] = keeper.manage("GET", "/two/1.0")
    assert (older["minWorkers"], older["maxWorkers"], older["responseTimeout"]) == (1, 2, 33)


def test_without_snapshots_none_is_read_and_none_written(keeper: Keeper) -> None:
    keeper.begin()
    fill(keeper)
    assert keeper.stop() == 0
    before = keeper.files()
    keeper.begin("--ncs")
    assert keeper.manage("GET", "")["models"] == []
    keeper.manage("POST", "?url=one.mar&initial_workers=0")
    assert keeper.stop() == 0
    assert keeper.files() == before


def written(keeper: Keeper, models: dict[str, Any] | str, name: str = "mine.cfg") -> str:
    """A snapshot somebody wrote by hand; the path to give to --ts-config."""
    text = models if isinstance(models, str) else json.dumps({"models": models})
    settings = (keeper.folder / "config.properties").read_text()
    (keeper.folder / name).write_text(f"{settings}model_snapshot={text}\n")
    return name


def of_one(**values: object) -> dict[str, object]:
    return {
        "defaultVersion": True,
        "marName": "one.mar",
        "minWorkers": 1,
        "maxWorkers": 1,
        "batchSize": 2,
        "maxBatchDelay": 5,
        **values,
    }


def test_a_snapshot_written_by_hand_is_taken(keeper: Keeper) -> None:
    keeper.begin("--ts-config", written(keeper, {"one": {"1.0": of_one(batchSize=3)}}))
    until(lambda: keeper.workers("one")[0]["status"] == "READY", "the model is ready")
    [one] = keeper.manage("GET", "/one")
    assert (one["batchSize"], one["responseTimeout"], one["runtime"]) == (3, 120, "python")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"models": {"one": {"1.0": {"marName": "one.mar"', "model_snapshot"),
        ("nothing of ours", "model_snapshot"),
        ('{"models": {"one": {"1.0": {"marName": "one.mar"}}}}', "defaultVersion"),
        ('{"models": {"one": {"1.0": "one.mar"}}}', "model_snapshot"),
        ('["one.mar"]', "model_snapshot"),
    ],
    ids=["torn", "foreign", "half", "flat", "a list"],
)
def test_a_file_that_is_no_snapshot_is_told_and_nothing_starts(
    keeper: Keeper, text: str, words: str
) -> None:
    said = keeper.refused("--ts-config", written(keeper, text))
    assert "mine.cfg:" in said
    assert words in said
    assert keeper.files() == []


def test_a_torn_snapshot_that_would_be_taken_up_is_named_with_the_way_out(keeper: Keeper) -> None:
    keeper.begin()
    fill(keeper)
    assert keeper.stop() == 0
    before = keeper.files()
    newest = keeper.kept / before[-1]
    whole = newest.read_text()
    for cut in ("model_snapshot", "one.mar", "two.mar"):
        newest.write_text(whole[: whole.index(cut)])
        said = keeper.refused()
        assert newest.name in said, cut
        assert "--ncs" in said
    assert keeper.files() == before


def test_archives_that_have_gone_are_named_and_nothing_starts(keeper: Keeper) -> None:
    models = {"one": {"1.0": of_one()}, "lost": {"1.0": of_one(marName="lost.mar")}}
    said = keeper.refused("--ts-config", written(keeper, models))
    assert "lost.mar" in said
    assert "one.mar" not in said
    assert "mine.cfg" in said


def test_one_model_that_cannot_be_restored_does_not_stop_the_others(keeper: Keeper) -> None:
    (keeper.store / "two.mar").write_bytes(b"damaged since")
    models = {"two": {"1.0": of_one(marName="two.mar")}, "one": {"1.0": of_one()}}
    keeper.begin("--ts-config", written(keeper, models))
    until(lambda: keeper.workers("one")[0]["status"] == "READY", "the other is ready")
    assert keeper.client.get(f"{keeper.management}/models/two").status_code == 404
    assert any("two 1.0" in line and "two.mar" in line for line in keeper.output)


def test_a_disk_that_takes_no_snapshot_stops_no_change(keeper: Keeper) -> None:
    keeper.begin()
    for name in keeper.files():
        (keeper.kept / name).unlink()
    keeper.kept.rmdir()
    keeper.kept.write_text("in the way")
    fill(keeper)
    assert keeper.predict("one").text == "one 1.0"
    until(
        lambda: any("snapshot could not be written" in line for line in keeper.output),
        "the log says so",
    )
    keeper.kept.unlink()
