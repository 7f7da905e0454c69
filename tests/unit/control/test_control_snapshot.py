"""What a snapshot says of the registry, and what a restore makes of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import javaproperties
import msgspec
import pytest

from flambeau.archive.store import ModelStore
from flambeau.config.load import Flags, load
from flambeau.config.snapshots import SnapshotFiles
from flambeau.control.plane import ControlPlane
from flambeau.control.registry import Registry
from flambeau.control.requests import (
    DescribeModel,
    RegisterModel,
    ScaleWorkers,
    SetDefaultVersion,
    UnregisterModel,
)
from flambeau.control.snapshot import SavedVersion, pictured
from flambeau.control.spec import Defaults
from flambeau.errors import ModelNotFound

HANDLER = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"


@pytest.fixture
def registry():
    return Registry()


async def test_a_version_is_pictured_in_the_keys_and_units_of_the_original(live, registry):
    one = await live(
        workers=0,
        batch_size=4,
        max_batch_delay=7,
        response_timeout=33,
        startup_timeout=44,
        runtime="python3",
    )
    registry.add(one.version)
    one.version.min_workers, one.version.max_workers = 1, 3
    assert pictured(registry) == {
        "m": {
            "1.0": {
                "defaultVersion": True,
                "marName": "m.mar",
                "minWorkers": 1,
                "maxWorkers": 3,
                "batchSize": 4,
                "maxBatchDelay": 7,
                "responseTimeout": 33,
                "startupTimeout": 44,
                "runtimeType": "python3",
            }
        }
    }


async def test_versions_stand_under_their_name_and_one_is_the_default(live, registry):
    for version in ("1.0", "2.0"):
        registry.add((await live(workers=0, version=version)).version)
    registry.add((await live(workers=0, name="n")).version)
    registry.set_default("m", "2.0")
    found = pictured(registry)
    assert {name: list(versions) for name, versions in found.items()} == {
        "m": ["1.0", "2.0"],
        "n": ["1.0"],
    }
    assert [found["m"][each]["defaultVersion"] for each in ("1.0", "2.0")] == [False, True]
    assert found["n"]["1.0"]["defaultVersion"] is True


async def test_live_changes_of_batching_are_in_the_picture(live, registry):
    one = await live(workers=0)
    registry.add(one.version)
    one.version.change({"batch_size": 8, "max_batch_delay": 20})
    found = pictured(registry)["m"]["1.0"]
    assert (found["batchSize"], found["maxBatchDelay"]) == (8, 20)


async def test_a_parallel_level_is_pictured_where_there_is_one(live, registry):
    one = await live(workers=0)
    one.version.spec = msgspec.structs.replace(
        one.version.spec, parallel_type="tp", parallel_level=4
    )
    registry.add(one.version)
    assert pictured(registry)["m"]["1.0"]["parallelLevel"] == 4


@pytest.mark.parametrize(
    ("url", "archive"),
    [
        ("m.mar", "m.mar"),
        ("/somewhere/else/folder", "folder"),
        ("folder/", "folder"),
        ("https://models.example/a/m.mar", "m.mar"),
    ],
)
async def test_an_archive_is_named_as_it_lies_in_the_store(live, registry, url, archive):
    registry.add((await live(workers=0, url=url)).version)
    assert pictured(registry)["m"]["1.0"]["marName"] == archive


async def test_what_stands_behind_a_download_url_is_no_part_of_the_name(live, registry):
    one = await live(workers=0, url="https://models.example/m.mar?signature=a/secret")
    one.version.files = dataclasses.replace(one.version.files, downloaded=Path("store/m.mar"))
    registry.add(one.version)
    assert pictured(registry)["m"]["1.0"]["marName"] == "m.mar"
    assert "secret" not in json.dumps(pictured(registry))


class Kept:
    """A plane over a real store that writes real snapshots."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder

    def newest(self) -> dict[str, dict[str, dict[str, object]]]:
        path = max(self.folder.iterdir())
        return json.loads(javaproperties.loads(path.read_text())["model_snapshot"])["models"]

    def occasions(self) -> list[str]:
        return [path.stem.partition("-")[2] for path in sorted(self.folder.iterdir())]


@pytest.fixture
async def kept(tmp_path, pack, workshop, metrics):
    pack("m.mar", {"h.py": HANDLER}, handler="h.py")
    pack("m2.mar", {"h.py": HANDLER}, handler="h.py", version="2.0", model={"modelName": "m"})
    (tmp_path / "temp").mkdir()
    (tmp_path / "config.properties").touch()
    options = load(Flags(ts_config="config.properties"), {}, tmp_path).options
    shop, _ = workshop()
    plane = ControlPlane(
        ModelStore(tmp_path / "archives", tmp_path / "temp"),
        shop,
        metrics,
        Defaults(),
        write_snapshot=SnapshotFiles(options).write,
    )
    yield Kept(plane, tmp_path / "logs" / "config")
    await plane.stop(5.0)
    await shop.launcher.close()


async def test_every_change_that_was_made_is_written_before_it_is_answered(kept):
    plane = kept.plane
    await plane.register(RegisterModel(url="m.mar", initial_workers=0))
    assert set(kept.newest()["m"]) == {"1.0"}
    await plane.register(RegisterModel(url="m2.mar", initial_workers=0))
    await plane.set_default(SetDefaultVersion(model_name="m", model_version="2.0"))
    assert kept.newest()["m"]["2.0"]["defaultVersion"] is True
    await plane.scale(ScaleWorkers(model_name="m", min_worker=0, max_worker=3, batch_size=5))
    assert kept.newest()["m"]["2.0"]["maxWorkers"] == 3
    assert kept.newest()["m"]["2.0"]["batchSize"] == 5
    await plane.unregister(UnregisterModel(model_name="m", model_version="1.0"))
    assert set(kept.newest()["m"]) == {"2.0"}
    assert kept.occasions() == ["snapshot"] * 5


async def test_a_change_that_was_refused_is_not(kept):
    with pytest.raises(ModelNotFound):
        await kept.plane.register(RegisterModel(url="absent.mar"))
    with pytest.raises(ModelNotFound):
        await kept.plane.set_default(SetDefaultVersion(model_name="m", model_version="1.0"))
    assert not kept.folder.exists()


def saved(version: str = "1.0", archive: str = "m.mar", *, default: bool = True) -> SavedVersion:
    values = {
        "min_workers": 0,
        "max_workers": 2,
        "batch_size": 6,
        "max_batch_delay": 9,
        "response_timeout": 11,
        "startup_timeout": 12,
        "runtime": "python",
    }
    return SavedVersion("m", version, archive, default, values)


async def test_a_restored_version_has_the_values_of_its_snapshot(kept):
    await kept.plane.restore(saved())
    [found] = await kept.plane.describe(DescribeModel(model_name="m"))
    assert (found.minWorkers, found.maxWorkers) == (0, 2)
    assert (found.batchSize, found.maxBatchDelay) == (6, 9)
    assert (found.responseTimeout, found.startupTimeout) == (11, 12)
    assert found.loadedAtStartup is False


async def test_a_restored_default_is_the_default_whatever_came_first(kept):
    await kept.plane.restore(saved(default=False))
    await kept.plane.restore(saved("2.0", "m2.mar"))
    [found] = await kept.plane.describe(DescribeModel(model_name="m"))
    assert found.modelVersion == "2.0"


async def test_a_restore_writes_nothing(kept):
    await kept.plane.restore(saved())
    assert not kept.folder.exists()


async def test_the_store_says_which_archives_it_holds(kept):
    assert kept.plane.holds("m.mar")
    assert not kept.plane.holds("absent.mar")
