"""Write docs/reference/model-config.md from the table of a version's values.

python tools/reference_values.py           # write the page
python tools/reference_values.py --check   # fail, naming the page, when it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.versions.rows import rows, standing_in
from flambeau.versions.value import Form

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flambeau.versions.rows import ValueRow

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "model-config.md"
MADE = "<!-- Made by tools/reference_values.py. Change the table it reads, not this page. -->"

INTRODUCTION = """\
The values of one version of a model, as its archive's model-config.yaml may give them. The handler
sees the whole file as `context.model_yaml_config` and may read keys of its own.

A value of the wrong type, or below its least, is left out with a warning; minWorkers and maxWorkers
count only together. A key that does nothing is named in the log when the model is registered, and
in describe under `ignored` if it looks meant for the server. An archive that asks for a feature
that is not built yet is refused: served without it, it would answer wrongly.

Who wins: the strongest source that gives the value, from left to right, and the default where none
does. A snapshot beats them all. The `models` setting gives numbers of workers only to models that
are loaded at start."""


def page() -> Iterator[str]:
    """The lines of the page."""
    yield from ["# Values of a model", "", MADE, "", *INTRODUCTION.splitlines(), ""]
    yield "| key | value | default | meaning | who wins |"
    yield "|---|---|---|---|---|"
    yield from map(_line, standing_in(Form.CONFIG))


def _line(row: ValueRow) -> str:
    about = row.about
    meaning = f"{about.sentence}{about.unit.words}."
    if about.needs:
        meaning += f" Has no effect without {rows()[about.needs].about.config}."
    if about.later:
        meaning += " *Not built yet: refused.*"
    wins = ", ".join(str(form) for form in about.wins)
    default = "" if row.default in (None, "") else f"`{str(row.default).lower()}`"
    return f"| `{about.config}` | {_words(row)} | {default} | {meaning} | {wins} |"


def _words(row: ValueRow) -> str:
    about = row.about
    if about.choices:
        return "one of " + ", ".join(about.choices)
    if row.type is bool:
        return "true or false"
    if row.type is not int:
        return "a map" if row.name == "torchrun" else "a list of numbers"
    return "a number" if about.least is None else f"a number, at least {about.least}"


def main(arguments: list[str]) -> int:
    """1 with ``--check`` and a page that is out of date, else 0."""
    text = "\n".join(page()) + "\n"
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(f"docs/reference/{PAGE.name} is out of date: run python tools/reference_values.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
