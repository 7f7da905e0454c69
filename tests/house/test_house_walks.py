"""The walks in ARCHITECTURE.md are those that a prediction and a registration really take.

A server and its workers run with a profile function that notes the files whose code is called;
what they noted is compared with the lists of the page. A file that runs stands on the walk, or
beside it; the walks stay as short as somebody is ready to read.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.running import LiveServer, write_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "flambeau"
PAGE = ROOT / "ARCHITECTURE.md"
LONGEST = {"A prediction": 20, "A registration": 30}
NOTING = """
import os, sys, threading

FOLDER = os.environ.get("NOTED_FOLDER", "")
PACKAGE = "/src/flambeau/"

def note(frame, event, arg, seen=set()):
    name = frame.f_code.co_filename
    if event != "call" or PACKAGE not in name or frame.f_code.co_name == "<module>":
        return
    try:
        with open(FOLDER + "/now") as now:
            noted = f"{now.read()} {name.partition(PACKAGE)[2]}\\n"
    except OSError:
        return
    if (os.getpid(), noted) not in seen:
        seen.add((os.getpid(), noted))
        with open(FOLDER + "/noted", "a") as file:
            file.write(noted)

if FOLDER:
    sys.setprofile(note)
    threading.setprofile(note)
"""
"""Becomes sitecustomize.py: what a process and its forks call goes to a file, a line each."""
HANDLER = "def handle(data, context):\n    return data and ['ok'] * len(data)\n"


@dataclass(frozen=True)
class Walk:
    """One section of the page: its numbered files in order, and what it says lies beside them."""

    files: list[str]
    through: dict[str, set[str]]
    """Files that an item names in parentheses: what leads there stands in them."""
    beside: set[str]

    def covers(self, file: str) -> bool:
        """Whether a file stands on the page: itself, or its room."""
        return (
            file in self.files
            or file in self.beside
            or f"{file.split('/', maxsplit=1)[0]}/" in self.beside
        )


def walk_of(title: str) -> Walk:
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    items = re.findall(r"^\d+\. `([\w/]+\.py)`((?:.|\n(?=   ))*)", section, re.MULTILINE)
    through = {file: set(re.findall(r"through `([\w/]+\.py)`", text)) for file, text in items}
    beside = section.partition("\nBeside the way")[2]
    return Walk(
        [file for file, _ in items], through, set(re.findall(r"`([\w/]+(?:\.py|/))`", beside))
    )


def imported_by(file: str) -> set[str]:
    """Files of the package that a file imports, for types too."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flambeau"):
            names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
            paths = [f"{name.partition('.')[2].replace('.', '/')}.py" for name in names if name]
            found |= {path for path in paths if (PACKAGE / path).is_file()}
    return found


def linked(file: str, others: set[str]) -> bool:
    """Whether a file imports one of the others, that it is handed to, or is imported or started."""
    started = f'"flambeau.{file.removesuffix(".py").replace("/", ".")}"'
    return bool(others & imported_by(file)) or any(
        file in imported_by(one) or started in (PACKAGE / one).read_text() for one in others
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """The files that ran while a model was registered, and asked the first and a later time."""
    folder = tmp_path_factory.mktemp("noted")
    (folder / "sitecustomize.py").write_text(NOTING)
    (folder / "noted").touch()
    server = LiveServer(folder / "server", {}, [])
    config = "minWorkers: 1\nmaxWorkers: 1\n"
    write_archive(server.store / "echo.mar", {"h.py": HANDLER}, handler="h", config=config)
    noted: dict[str, set[str]] = {}
    try:
        server.start({"PYTHONPATH": str(folder), "NOTED_FOLDER": str(folder)})
        for phase in ("registration", "first", "warm-up", "warm"):
            (folder / "now").write_text(phase)
            if phase == "registration":
                assert server.register("echo.mar").status_code == 200
            else:
                assert server.predict("echo", b"x").text == "ok"
        (folder / "now").unlink()
        for line in (folder / "noted").read_text().splitlines():
            phase, _, file = line.partition(" ")
            noted.setdefault(phase, set()).add(file)
        assert server.stop() == 0
    finally:
        server.close()
    return noted


@pytest.mark.parametrize("title", LONGEST)
def test_a_walk_is_short_and_each_file_leads_to_the_next(title: str) -> None:
    walk = walk_of(title)
    files = walk.files
    assert len(files) == len(set(files)), "a file stands there twice"
    assert 0 < len(files) <= LONGEST[title]
    for at, file in enumerate(files):
        before = set(files[:at])
        known = {via for via in walk.through[file] if linked(via, before)}
        assert not at or linked(file, before | known), f"no import leads to {file}"


@pytest.mark.parametrize(
    ("title", "phase"), [("A prediction", "warm"), ("A registration", "registration")]
)
def test_what_runs_is_on_the_walk_or_beside_it(
    ran: dict[str, set[str]], title: str, phase: str
) -> None:
    walk = walk_of(title)
    assert sorted(file for file in ran[phase] if not walk.covers(file)) == [], (
        f"these files run too: name them in ARCHITECTURE.md under {title!r}, on the walk or beside it"
    )
    assert [file for file in walk.beside if not (PACKAGE / file).exists()] == []


@pytest.mark.parametrize(
    ("title", "phase"), [("A prediction", "first"), ("A registration", "registration")]
)
def test_what_is_on_the_walk_runs(ran: dict[str, set[str]], title: str, phase: str) -> None:
    resting = [
        file for file in walk_of(title).files if file not in ran[phase] | ran["registration"]
    ]
    assert [file for file in resting if has_functions(file)] == [], (
        "these files do not run: take them off the walk in ARCHITECTURE.md"
    )


def has_functions(file: str) -> bool:
    """Whether there is code to call: a table is read by others."""
    tree = ast.parse((PACKAGE / file).read_text())
    return any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in ast.walk(tree))
