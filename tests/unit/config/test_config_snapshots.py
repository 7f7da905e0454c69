"""Snapshot files: whole or not there, readable again, and not more than so many."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import javaproperties
import pytest

from flambeau.config.load import Flags, load, newest_snapshot
from flambeau.config.setting import ConfigurationError
from flambeau.config.snapshots import KEPT, Occasion, SnapshotFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flambeau.config.options import Options

VERSION = {
    "defaultVersion": True,
    "marName": "one.mar",
    "minWorkers": 1,
    "maxWorkers": 2,
    "batchSize": 4,
    "maxBatchDelay": 50,
    "responseTimeout": 33,
    "startupTimeout": 44,
    "runtimeType": "python",
}
MODELS = {"one": {"1.0": VERSION}}


@pytest.fixture
def options(tmp_path: Path) -> Callable[[str], Options]:
    """``options(text)``: what a start with this config.properties means."""

    def settled(text: str = "") -> Options:
        (tmp_path / "config.properties").write_text(text)
        return load(Flags(ts_config="config.properties"), {}, tmp_path).options

    return settled


def content(path: Path) -> dict[str, str]:
    return dict(javaproperties.loads(path.read_text(encoding="utf-8")))


def restarted(tmp_path: Path, **environment: str) -> Options:
    """What a start without any file means: the newest snapshot is taken."""
    (tmp_path / "config.properties").unlink(missing_ok=True)
    return load(Flags(), environment, tmp_path).options


@pytest.mark.parametrize("occasion", list(Occasion))
def test_the_name_holds_the_time_and_the_occasion(
    options: Callable[[str], Options], tmp_path: Path, occasion: str
) -> None:
    path = SnapshotFiles(options("")).write(occasion, {})
    assert path.parent == tmp_path / "logs" / "config"
    assert re.fullmatch(rf"\d{{17}}-{occasion}\.cfg", path.name)
    assert newest_snapshot(path.parent) == path


def test_the_document_counts_versions_and_names_its_file(
    options: Callable[[str], Options],
) -> None:
    models: dict[str, Any] = {"one": {"1.0": VERSION, "2.0": VERSION}, "two": {"1.0": VERSION}}
    path = SnapshotFiles(options("")).write("snapshot", models)
    document = json.loads(content(path)["model_snapshot"])
    assert document["name"] == path.name
    assert document["modelCount"] == 3
    assert document["models"] == models
    assert isinstance(document["created"], int)


def test_what_was_written_is_read_back_as_it_was(
    options: Callable[[str], Options], tmp_path: Path
) -> None:
    before = options(
        "inference_address=http://127.0.0.1:9090\njob_queue_size=7\nbatching=strict\n"
        "model_store=store\nprefetch_ms=2.5\ndisable_token_authorization=true\n"
        'models={"one": {"1.0": {"batchSize": 3}}}\nallowed_urls=https://a/.*,https://b/\\\\d+\n'
    )
    SnapshotFiles(before).write("startup", MODELS)
    after = restarted(tmp_path)
    for name in (
        "inference_address",
        "job_queue_size",
        "batching",
        "model_store",
        "prefetch_ms",
        "disable_token_authorization",
        "models",
        "allowed_urls",
    ):
        assert getattr(after, name) == getattr(before, name), name
    assert after.model_snapshot is not None
    version = after.model_snapshot.models["one"]["1.0"]
    assert (version.mar_name, version.batch_size, version.response_timeout) == ("one.mar", 4, 33)


def test_every_line_of_a_snapshot_is_in_effect(
    options: Callable[[str], Options], tmp_path: Path
) -> None:
    SnapshotFiles(options("job_queue_size=7\n")).write("startup", MODELS)
    (tmp_path / "config.properties").unlink()
    notices = load(Flags(), {}, tmp_path).notices
    assert not [notice for notice in notices if "not yet" in notice or "unknown" in notice]


def test_only_what_differs_from_the_defaults_is_written(
    options: Callable[[str], Options],
) -> None:
    found = content(SnapshotFiles(options("job_queue_size=7\n")).write("startup", {}))
    assert found["job_queue_size"] == "7"
    assert {"python", "version", "tsConfigFile"} <= set(found)
    assert not {"batching", "load_models", "snapshots", "max_request_size"} & set(found)


def test_load_models_is_left_out_since_the_models_themselves_are_there(
    options: Callable[[str], Options],
) -> None:
    found = content(SnapshotFiles(options("load_models=all\n")).write("startup", MODELS))
    assert "load_models" not in found


def test_keys_that_nobody_knows_are_kept(options: Callable[[str], Options]) -> None:
    found = content(SnapshotFiles(options("my_plugin_key=a \\u00e9 b\n")).write("startup", {}))
    assert found["my_plugin_key"] == "a é b"


def test_the_keystore_password_is_in_no_snapshot(options: Callable[[str], Options]) -> None:
    path = SnapshotFiles(options("keystore_pass=very secret\n")).write("startup", {})
    assert "very secret" not in path.read_text(encoding="utf-8")


def test_a_write_that_fails_leaves_the_old_files_and_no_draft(
    options: Callable[[str], Options],
) -> None:
    files = SnapshotFiles(options(""))
    first = files.write("startup", {})
    with pytest.raises(TypeError):
        files.write("snapshot", {"one": {"1.0": object()}})
    assert list(files.folder.iterdir()) == [first]


def test_no_draft_stays(options: Callable[[str], Options]) -> None:
    files = SnapshotFiles(options(""))
    path = files.write("startup", MODELS)
    assert list(files.folder.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_an_error(
    options: Callable[[str], Options], tmp_path: Path
) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(OSError, match="logs"):
        SnapshotFiles(options("")).write("startup", {})


def test_old_files_of_ours_go_and_those_of_others_stay(
    options: Callable[[str], Options],
) -> None:
    files = SnapshotFiles(options(""))
    files.folder.mkdir(parents=True)
    (files.folder / "mine.cfg").touch()
    (files.folder / "20200101000000000-backup.cfg").touch()
    for number in range(KEPT + 5):
        (files.folder / f"2020010100000{number:04d}-snapshot.cfg").touch()
    newest = files.write("snapshot", {})
    names = {path.name for path in files.folder.iterdir()}
    assert len(names) == KEPT + 2
    assert {"mine.cfg", "20200101000000000-backup.cfg", newest.name} <= names
    assert "20200101000000000-snapshot.cfg" not in names
    assert f"2020010100000{KEPT + 4:04d}-snapshot.cfg" in names


def test_the_newest_by_name_is_taken_whatever_its_occasion(
    options: Callable[[str], Options], tmp_path: Path
) -> None:
    files = SnapshotFiles(options(""))
    files.write("shutdown", MODELS)
    last = files.write("startup", {})
    assert newest_snapshot(files.folder) == last
    after = restarted(tmp_path)
    assert after.model_snapshot is not None
    assert after.model_snapshot.models == {}


@pytest.mark.parametrize("step", [timedelta(0), -timedelta(hours=1)], ids=["stands", "goes back"])
def test_the_last_written_is_the_newest_though_the_clock(
    options: Callable[[str], Options], step: timedelta
) -> None:
    instant = datetime(2026, 12, 31, 23, 59, 59, 999_500, tzinfo=UTC)
    times = iter([instant + step * turn for turn in range(3)])
    files = SnapshotFiles(options(""), clock=lambda: next(times))
    paths = [files.write(occasion, {}) for occasion in ("startup", "snapshot", "shutdown")]
    assert [path.name for path in sorted(files.folder.iterdir())] == [
        "20261231235959999-startup.cfg",
        "20270101000000000-snapshot.cfg",
        "20270101000000001-shutdown.cfg",
    ]
    assert newest_snapshot(files.folder) == paths[-1]


@pytest.mark.parametrize("cut", ["model_snapshot", '"one', "batchSize"])
def test_a_torn_file_is_refused_with_the_way_out(
    options: Callable[[str], Options], tmp_path: Path, cut: str
) -> None:
    path = SnapshotFiles(options("job_queue_size=7\n")).write("startup", MODELS)
    whole = path.read_text(encoding="utf-8")
    position = whole.index(cut.replace('"', '\\"') if cut.replace('"', '\\"') in whole else cut)
    path.write_text(whole[:position], encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        restarted(tmp_path)
    assert path.name in str(refused.value)
    assert "--ncs" in str(refused.value)


def test_a_torn_file_does_not_matter_to_a_start_without_snapshots(
    options: Callable[[str], Options], tmp_path: Path
) -> None:
    path = SnapshotFiles(options("job_queue_size=7\n")).write("startup", MODELS)
    path.write_text("model_snapshot={")
    loaded = load(Flags(snapshots=False), {}, tmp_path)
    assert loaded.options.model_snapshot is None
    assert loaded.options.job_queue_size == 7
