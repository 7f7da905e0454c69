"""What `pip install flambeau` brings: few packages, each accounted for, none of them torch."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = {Requirement(each).name.lower() for each in PROJECT["dependencies"]}
# What the direct ones bring along. A new name here is a decision, so it is made by hand.
INDIRECT = {
    "certifi",
    "cffi",
    "charset-normalizer",
    "idna",
    "markdown-it-py",
    "mdurl",
    "pycparser",
    "pygments",
    "typing-extensions",
    "urllib3",
}


def closure() -> set[str]:
    """Every distribution an installation without extras needs on this platform."""
    seen: set[str] = set()
    waiting = list(PROJECT["dependencies"])
    while waiting:
        wanted = Requirement(waiting.pop())
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        name = wanted.name.lower().replace("_", "-")
        if name not in seen:
            seen.add(name)
            waiting += metadata.requires(name) or []
    return seen


def test_an_installation_brings_only_what_was_decided() -> None:
    assert closure() - DIRECT - INDIRECT == set()


def test_torch_is_no_dependency_in_any_form() -> None:
    extras = [each for group in PROJECT.get("optional-dependencies", {}).values() for each in group]
    assert not [each for each in [*PROJECT["dependencies"], *extras] if each.startswith("torch")]


def test_every_dependency_has_its_reason_written_down() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert {name for name in DIRECT if f"| {name} |" not in page} == set()


def test_no_reason_is_written_for_what_is_not_needed() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    section = page.partition("## To run")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| ([a-z0-9-]+) \|", section, re.MULTILINE)) - {"package"} == DIRECT


def test_all_four_commands_are_installed() -> None:
    assert set(PROJECT["scripts"]) == {
        "flambeau",
        "torchserve",
        "torch-model-archiver",
        "torch-workflow-archiver",
    }
