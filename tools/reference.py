"""Write docs/reference/configuration.md and commands.md from the settings table and the commands.

python tools/reference.py           # write both pages
python tools/reference.py --check   # fail, naming the page, when one is out of date
"""

from __future__ import annotations

import inspect
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flambeau.cli.flags import parser
from flambeau.cli.flambeau_command import cli
from flambeau.config import options
from flambeau.config.setting import Effect
from flambeau.config.table import Row, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- Made by tools/reference.py. Change what it reads, not this page. -->"

SETTINGS_INTRODUCTION = """\
Each setting is a key of `config.properties`. The file is the one that `TS_CONFIG_FILE` names, else
the one of `--ts-config`, else the newest snapshot (not with `--ncs`), else `config.properties`
where the server starts. It is Java properties text; `$$NAME$$` in a value stands for the environment
variable `NAME`, and an unset one stops the start. Relative paths start at the working directory.

Who wins: with `enable_envvars_config=true` in the file the environment beats the command line; the
command line beats the file, the file the defaults. Without that line no variable of this page is
read, except `TS_CONFIG_FILE`, `TS_OPEN_INFERENCE_PROTOCOL`, `TS_MODEL_SERVER_HOME` and those of
the table "Where the configuration itself comes from". Of a boolean, only the word `true` means on.

A value that cannot be used stops the start, with its file, line and what is expected. Unknown keys
are reported with the nearest known one. Settings marked *not yet in effect* or *no meaning here* are
accepted and reported, so that nothing is ignored in silence."""

COMMANDS_INTRODUCTION = """\
Exit codes of every command: 0 done, 1 it failed (the reason is printed), 2 the command line is
wrong. `flambeau` prints reasons on standard error; `torchserve` prints them on standard output,
where tools written for it look."""


def settings_page() -> Iterator[str]:
    """The lines of configuration.md."""
    yield from ["# Settings", "", MADE, "", *SETTINGS_INTRODUCTION.splitlines()]
    for title, keys in sections().items():
        yield from ["", f"## {title}", ""]
        yield "| setting | value | default | environment | flag | meaning |"
        yield "|---|---|---|---|---|---|"
        for key in keys:
            yield _setting_line(rows()[key])


def sections() -> dict[str, list[str]]:
    """Title to keys, as the comments of the table divide it."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in inspect.getsource(options.Options).splitlines():
        word = line.strip()
        if word.startswith("# --- "):
            title = word.removeprefix("# --- ")
            found[title] = []
        elif word.partition(":")[0] in rows() and line.startswith("    ") and line[4] != " ":
            found[title].append(word.partition(":")[0])
    return found


def _setting_line(row: Row) -> str:
    setting = row.setting
    meaning = setting.sentence
    if setting.effect is not Effect.NOW:
        meaning += f" *{setting.effect.capitalize()}.*"
    cells = (
        f"`{row.key}`",
        _cell(row.expected),
        _default(row),
        f"`{row.env}`" if row.env else "",
        f"`{setting.flag}`" if setting.flag else "",
        _cell(meaning),
    )
    return f"| {' | '.join(cells)} |"


def _default(row: Row) -> str:
    value = row.default
    if row.key == "python":
        return "the server's"
    if value is None or value in ({}, ""):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, StrEnum):
        return f"`{value.value}`"
    return f"`{_cell(f'{value:g}' if isinstance(value, float) else str(value))}`"


def commands_page() -> Iterator[str]:
    """The lines of commands.md."""
    yield from ["# Commands", "", MADE, "", *COMMANDS_INTRODUCTION.splitlines()]
    yield from _command("flambeau", cli)
    yield from ["", "## torchserve", "", "| flag | value | meaning |", "|---|---|---|"]
    for action in parser()._actions:  # noqa: SLF001 - argparse has no public way to list its flags
        flags = ", ".join(f"`{flag}`" for flag in action.option_strings)
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        yield f"| {flags} | {metavar} | {_cell(action.help or '')} |"


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ["", f"## {path}", "", "```text", f"{path} {usage}", "```", ""]
    yield from _help(command.help or "")
    shown = [each for each in command.params if isinstance(each, click.Option)]
    if shown:
        yield from ["", "| option | value | meaning |", "|---|---|---|"]
        yield from (_option_line(each, context) for each in shown)
    if isinstance(command, click.Group):
        for name in sorted(command.list_commands(context)):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(f"{path} {name}", inner)


def _help(text: str) -> Iterator[str]:
    """The help text, its lines of examples as a code block."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            title, *lines = paragraph.removeprefix("\b\n").splitlines()
            yield from [title, "", "```shell", *(line.strip() for line in lines), "```", ""]
        else:
            yield from [paragraph, ""]


def _option_line(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else option.make_metavar(context)
    meaning = option.help or ""
    if option.show_default and option.default is not None:
        shown = option.show_default if isinstance(option.show_default, str) else option.default
        meaning += f" Default: {_words(shown)}."
    return f"| {names} | {_cell(value)} | {_cell(meaning)} |"


def _words(default: object) -> str:
    if isinstance(default, (tuple, list)):
        return ", ".join(map(str, default))
    return str(default)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"configuration.md": settings_page, "commands.md": commands_page}


def main(arguments: list[str]) -> int:
    """1 with ``--check`` and a page that is out of date, else 0."""
    stale = []
    for name, page in PAGES.items():
        path = FOLDER / name
        lines = "\n".join(page()).splitlines()
        kept = [line for at, line in enumerate(lines) if line or (at and lines[at - 1])]
        text = "\n".join(kept).rstrip() + "\n"
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    for name in stale:
        print(f"docs/reference/{name} is out of date: run python tools/reference.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
