"""Pages keep up with the code: links lead somewhere, settings and commands exist, reference is current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flambeau.config.table import rows

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
GENERATORS = sorted(ROOT.glob("tools/reference*.py"))


def slug(title: str) -> str:
    """The anchor a heading gets."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def broken_links(page: Path) -> list[str]:
    problems = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists():
            problems.append(f"{page.relative_to(ROOT)}: {target} does not exist")
        elif anchor and anchor not in map(
            slug, re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
        ):
            problems.append(f"{page.relative_to(ROOT)}: {target} has no such heading")
    return problems


def test_links_between_pages_lead_somewhere() -> None:
    assert [problem for page in PAGES for problem in broken_links(page)] == []


def test_settings_in_examples_are_known_to_the_server() -> None:
    unknown = [
        f"{page.relative_to(ROOT)}: {key}"
        for page in PAGES
        for block in re.findall(r"```properties\n(.*?)```", page.read_text(), re.DOTALL)
        for key in re.findall(r"^([a-z_A-Z]+)=", block, re.MULTILINE)
        if key not in rows()
    ]
    assert unknown == []


def test_commands_in_pages_have_the_flags_they_are_shown_with() -> None:
    shown = {
        (command, flag)
        for page in PAGES
        for command, rest in re.findall(
            r"^\s*(?:\$ )?(torchserve|torch-model-archiver|flambeau [a-z]+) (.*(?:\\\n.*)*)",
            page.read_text(),
            re.MULTILINE,
        )
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.split("#")[0])
    }
    assert shown
    helps = {command: help_of(command) for command, _ in shown}
    assert (
        sorted(f"{command} {flag}" for command, flag in shown if flag not in helps[command]) == []
    )


def help_of(command: str) -> str:
    name, *rest = command.split()
    program = [str(Path(sys.executable).parent / name), *rest, "--help"]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda each: each.stem)
def test_reference_pages_say_what_the_tables_say(generator: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(generator), "--check"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_reference_pages_have_generators() -> None:
    assert GENERATORS


def test_files_named_in_how_to_add_exist() -> None:
    table = (
        (ROOT / "CONTRIBUTING.md").read_text().partition("## How to add")[2].partition("\n## ")[0]
    )
    named = re.findall(r"`([\w/*]+(?:\.(?:py|yaml|proto)|/))`", table)
    assert len(named) > 20
    places = (ROOT, ROOT / "src" / "flambeau", ROOT / "tools")
    assert [name for name in named if not any(list(each.glob(name)) for each in places)] == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_modules_named_in_a_page_exist(page: str) -> None:
    places = (ROOT, ROOT / "src", ROOT / "src" / "flambeau", ROOT / "tools")
    named = set(re.findall(r"`([\w]+/[\w/]+\.py)`", (ROOT / page).read_text()))
    assert (
        sorted(name for name in named if not any((each / name).is_file() for each in places)) == []
    )
