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


def only_for_checking(tree: ast.Module) -> set[str]:
    """Names imported under TYPE_CHECKING."""
    return {
        alias.asname or alias.name
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for each in block.body
        if isinstance(each, ast.ImportFrom | ast.Import)
        for alias in each.names
    }


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_fields_of_dataclasses_are_annotated_with_what_is_imported_when_compiled(
    path: Path,
) -> None:
    # mypyc looks these names up when the module is imported, and finds no builtin `object` either.
    tree = ast.parse(path.read_text())
    missing = only_for_checking(tree) | {"object"}
    for each in ast.walk(tree):
        if isinstance(each, ast.ClassDef) and any(
            "dataclass" in ast.unparse(d) for d in each.decorator_list
        ):
            names = {
                name.id
                for field in each.body
                if isinstance(field, ast.AnnAssign)
                for name in ast.walk(field.annotation)
                if isinstance(name, ast.Name)
            }
            assert not names & missing, f"{each.name}: import these when it runs, or write Any"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)


def test_classes_of_compiled_modules_have_only_compiled_children() -> None:
    # A compiled class cannot be extended by one that is not: starting would end in a TypeError.
    native = {
        (module_of(path), each.name)
        for path in COMPILED
        for each in ast.parse(path.read_text()).body
        if isinstance(each, ast.ClassDef)
        and not {ast.unparse(base) for base in each.bases} & {"Protocol", "NamedTuple", "StrEnum"}
    }
    children = []
    for path in sorted(set(ROOT.glob("src/flambeau/**/*.py")) - set(COMPILED)):
        tree = ast.parse(path.read_text())
        known = {
            alias.asname or alias.name
            for each in ast.walk(tree)
            if isinstance(each, ast.ImportFrom)
            for alias in each.names
            if (each.module, alias.name) in native
        }
        children += [
            f"{module_of(path)}.{each.name}"
            for each in ast.walk(tree)
            if isinstance(each, ast.ClassDef) and {ast.unparse(base) for base in each.bases} & known
        ]
    assert children == [], "compile these too: pyproject.toml, hook mypyc, include"
