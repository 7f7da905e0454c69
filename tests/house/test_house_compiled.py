"""What the compiled wheel compiles exists, and means the same compiled and as it is."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
HOOK = WHEEL["wheel"]["hooks"]["mypyc"]


def matched(patterns: list[str]) -> set[Path]:
    return {path for each in patterns for path in ROOT.glob(each.removeprefix("/"))}


COMPILED = sorted(matched(HOOK["include"]) - matched(HOOK["exclude"]))


@pytest.mark.parametrize("pattern", [*HOOK["include"], *HOOK["exclude"]])
def test_every_pattern_names_a_module(pattern: str) -> None:
    assert matched([pattern]), f"pyproject.toml, hook mypyc: nothing matches {pattern}"


def test_the_example_that_tells_builds_apart_is_compiled() -> None:
    assert ROOT / "src/flambeau/http/head.py" in COMPILED


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_class_has_keywords_which_mypyc_drops_without_a_word(path: Path) -> None:
    classes = [
        each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.ClassDef)
    ]
    assert [each.name for each in classes if each.keywords] == []
    bases = {ast.unparse(base) for each in classes for base in each.bases}
    assert not bases & {"msgspec.Struct", "Struct"}, "leave this module out: hook mypyc, exclude"
