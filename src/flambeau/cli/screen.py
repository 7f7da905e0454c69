"""How the ``flambeau`` commands speak: tables, JSON for scripts, and their exit codes.

0: done. 1: it failed (the reason is on stderr). 2: the command line is wrong (click's own).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


class CommandFailed(click.ClickException):
    """The command could not do what was asked; prints ``Error: ...`` and exits with 1."""


def print_json(value: Any) -> None:
    """``value`` on stdout, two-space indent."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table on stdout; as wide as it needs to be when stdout is no terminal."""
    from rich.table import Table  # noqa: PLC0415 - a server shows no tables

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)


def console(*, stderr: bool = False) -> Console:
    """A console that never cuts lines when its output goes into a file or a pipe."""
    from rich.console import Console  # noqa: PLC0415 - as above

    screen = Console(stderr=stderr, highlight=False, markup=False)
    return (
        screen
        if screen.is_terminal
        else Console(stderr=stderr, highlight=False, markup=False, width=200)
    )
