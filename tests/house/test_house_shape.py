"""Files stay small, functions short, everything annotated and described; nothing imports in circles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import shape

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", ["flambeau", "ts", "model_archiver", "workflow_archiver"])
def test_every_file_and_function_keeps_the_rules(package: str) -> None:
    modules = shape.read(ROOT / "src" / package)
    assert modules, f"src/{package} has no modules"
    assert shape.broken_rules(modules) == []


def test_most_files_and_functions_are_much_smaller_than_they_may_be() -> None:
    modules = shape.read(ROOT / "src" / "flambeau")
    functions = [shape.length(each) for module in modules for each in module.functions()]
    assert shape.percentile([module.lines for module in modules], 0.9) <= shape.LARGEST_FILE * 0.75
    assert shape.percentile(functions, 0.95) <= shape.FUNCTION_P95


def test_folders_are_one_deep() -> None:
    modules = shape.read(ROOT / "src" / "flambeau")
    assert [each.name for each in modules if each.name.count(".") > 2] == []


def test_a_circle_of_imports_is_found(tmp_path: Path) -> None:
    package = tmp_path / "ring"
    package.mkdir()
    (package / "__init__.py").write_text('"""Ring."""\n')
    (package / "one.py").write_text('"""One."""\nfrom ring import two\n')
    (package / "two.py").write_text('"""Two."""\n\ndef late() -> None:\n    import ring.one\n')
    (package / "three.py").write_text('"""Three."""\nfrom ring.one import anything\n')
    assert shape.loops(shape.read(package)) == [["ring.one", "ring.two"]]


def test_what_breaks_a_rule_is_named_with_its_line(tmp_path: Path) -> None:
    package = tmp_path / "rough"
    package.mkdir()
    (package / "__init__.py").write_text("def bare(x):\n" + "    x += 1\n" * 60 + "    return x\n")
    problems = "\n".join(shape.broken_rules(shape.read(package)))
    assert "no module docstring" in problems
    assert "__init__.py:1: bare has 62 lines" in problems
    assert "bare is not fully annotated" in problems
