from __future__ import annotations

import gzip
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from flambeau.logs.rolling import RollingFile, Writer

if TYPE_CHECKING:
    from pathlib import Path


class Day:
    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self) -> str:
        return self.text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "access_log.log"


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def test_the_folder_is_made_and_text_appended(path):
    for text in ("one\n", "two\n"):
        file = RollingFile(path)
        file.write(text)
        file.close()
    assert path.read_text() == "one\ntwo\n"


def test_a_full_file_is_rolled_and_compressed(path):
    day = Day("2026-11-22")
    file = RollingFile(path, max_bytes=10, today=day)
    for text in ("0123456789\n", "second part\n", "third\n"):
        file.write(text)
    file.close()
    assert path.read_text() == "third\n"
    assert names(path) == [
        "access_log.2026-11-22.1.log.gz",
        "access_log.2026-11-22.2.log.gz",
        "access_log.log",
    ]
    with gzip.open(path.parent / "access_log.2026-11-22.1.log.gz", "rt") as packed:
        assert packed.read() == "0123456789\n"


def test_a_new_day_begins_a_new_file(path):
    day = Day("2026-11-22")
    file = RollingFile(path, today=day)
    file.write("old\n")
    day.text = "2026-11-23"
    file.write("new\n")
    file.close()
    assert path.read_text() == "new\n"
    assert names(path) == ["access_log.2026-11-22.1.log.gz", "access_log.log"]


def test_a_file_of_an_earlier_run_is_rolled_under_its_own_day(path):
    path.parent.mkdir()
    path.write_text("yesterday\n")
    then = time.mktime((2026, 11, 21, 12, 0, 0, 0, 0, -1))
    os.utime(path, (then, then))
    file = RollingFile(path, today=Day("2026-11-22"))
    file.write("today\n")
    file.close()
    assert path.read_text() == "today\n"
    assert names(path) == ["access_log.2026-11-21.1.log.gz", "access_log.log"]


def test_only_the_newest_rolled_files_are_kept(path):
    day = Day("2026-11-22")
    file = RollingFile(path, max_bytes=1, keep=2, today=day)
    path.parent.mkdir()
    (path.parent / "access_log.old.log").write_text("not ours")
    for number in range(12):
        file.write(f"{number}\n")
    file.close()
    kept = [name for name in names(path) if name.endswith(".gz")]
    assert kept == ["access_log.2026-11-22.10.log.gz", "access_log.2026-11-22.11.log.gz"]
    assert "access_log.old.log" in names(path)


class Slow:
    """A sink that holds its first text until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()
        self.texts: list[str] = []

    def write(self, text: str) -> None:
        self.entered.set()
        assert self.go.wait(30)
        self.texts.append(text)

    def close(self) -> None:
        pass


def test_what_a_stuck_disk_cannot_take_is_counted_not_waited_for():
    writer, sink = Writer("test-writer", limit=10), Slow()
    for text in ("123456", "7890", "lost", "", "gone"):
        writer.put(sink, text)
        assert sink.entered.wait(30)
    assert writer.lost == 8
    assert not writer.idle
    sink.go.set()
    writer.close()
    assert sink.texts == ["123456", "7890", ""]


def test_one_text_over_the_limit_is_still_written():
    writer, sink = Writer("test-writer", limit=10), Slow()
    sink.go.set()
    writer.put(sink, "x" * 100)
    writer.close()
    assert sink.texts == ["x" * 100]
    assert writer.idle


def test_a_sink_that_fails_is_reported_once_and_tried_again(path, capsys):
    path.mkdir(parents=True)  # A folder where the file should be.
    file, writer = RollingFile(path), Writer("test-writer")
    writer.put(file, "one\n")
    writer.put(file, "two\n")
    deadline = time.monotonic() + 30
    while not writer.idle and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    path.rmdir()
    writer.put(file, "three\n")
    writer.close()
    assert path.read_text() == "three\n"
    assert writer.lost == len("one\ntwo\n")
    assert capsys.readouterr().err.count("cannot write to") == 1
