"""The project speaks of itself alone: no paths of anybody's machine, no package index, no debts in code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".txt",
    ".json",
    ".jsonl",
    ".properties",
    ".proto",
    "",
}

FOREIGN = re.compile(
    r"/work/|/root/|/opt/(?:pypi|wheels)|/home/(?!model-server|venv)[a-z]+/"
    r"|pythonhosted|pypi\.org|--index-url|\.\./shared|\bissues? #?\d+\b",
    re.IGNORECASE,
)
DEBT = re.compile(r"#.*\b(?:TODO|FIXME|XXX|HACK)\b")


def tracked() -> list[Path]:
    """Every text file that belongs to the project, this one left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = (
        listed.stdout.splitlines()
        if listed.returncode == 0
        else [
            str(each.relative_to(ROOT))
            for top in ("src", "tests", "docs")
            for each in (ROOT / top).rglob("*")
        ]
    )
    paths = [ROOT / name for name in names]
    return [
        each
        for each in paths
        if each.is_file() and each.suffix in TEXT and each != Path(__file__).resolve()
    ]


def lines_with(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in paths
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_machine_or_a_package_index() -> None:
    paths = tracked()
    assert len(paths) > 100
    assert lines_with(FOREIGN, paths) == []


def test_no_debt_is_left_in_code() -> None:
    assert lines_with(DEBT, [each for each in tracked() if each.suffix == ".py"]) == []
