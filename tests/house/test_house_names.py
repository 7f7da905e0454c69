"""Names say what things are: words that could mean anything are not used for modules, classes, functions."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "flambeau"

BANNED = {
    "abstract",
    "base",
    "common",
    "data",
    "helper",
    "helpers",
    "impl",
    "info",
    "manager",
    "misc",
    "util",
    "utils",
}
# Names that users of the original write in their own code, and asyncio's callbacks: not our choice.
PUBLIC = {
    "BaseEnvelope",
    "BaseHandler",
    "MetricAbstract",
    "MetricCacheAbstract",
    "MetricsCacheYamlImpl",
    "base_handler",
    "data_received",
    "retrieve_data_for_inference",
}


def words(name: str) -> list[str]:
    """The lower-case words of a snake_case or CamelCase name."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def names(path: Path) -> list[str]:
    """The module's name and those of its classes and functions."""
    defined = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text())
    return [path.stem, *(each.name for each in ast.walk(tree) if isinstance(each, defined))]


def test_no_name_uses_a_word_that_could_mean_anything() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in names(path)
        if name not in PUBLIC and BANNED & set(words(name))
    ]
    assert found == []


def test_process_is_a_thing_and_not_a_verb() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in names(path)
        if re.match(r"_?(process_|processing)|_?do_", name)
    ]
    assert found == []


def test_words_are_told_apart() -> None:
    assert words("parseBaseData") == ["parse", "base", "data"]
    assert words("_database_path") == ["database", "path"]


# Users of the original write these names, and its modules and commands have one each.
OF_THE_ORIGINAL = {"ArgParser", "Manifest", "Service"}


def public_classes() -> dict[str, list[str]]:
    """Name of a class to the files that define it."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name.endswith("_pb2.py"):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    return found


def test_a_class_name_means_one_thing() -> None:
    doubled = {
        name: files
        for name, files in public_classes().items()
        if len(files) > 1 and name not in OF_THE_ORIGINAL
    }
    assert doubled == {}, "one name for two things: rename one of them"


def test_the_words_of_the_architecture_are_defined_where_it_says() -> None:
    page = (PACKAGE.parents[1] / "ARCHITECTURE.md").read_text()
    table = page.partition("\n## Words\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [\w, ]+ \| `([\w/]+\.py)` `(\w+)` \|", table, re.MULTILINE)
    assert len(rows) > 20, "the table of words is not there any more"
    classes = public_classes()
    assert [row for row in rows if row[0] not in classes.get(row[1], [])] == []
