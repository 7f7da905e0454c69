"""Scrape text: the Prometheus text format 0.0.4.

``metrics.registry`` asks for it. Thousands of series are megabytes of text, so it is made in short
pieces that requests go between. ``prometheus_client`` would sort labels and append ``_total`` to
counters, and the traditional names have neither; the tests read the text back with its parser.
"""

from __future__ import annotations

from math import isfinite, isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flambeau.metrics.families import Cell, Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PIECE = 16
"""Lines written at a stretch, and the rest of the last series."""
ALL: frozenset[str] = frozenset()
"""No names given: every sample is wanted."""


def exposition(families: Iterable[Family], wanted: frozenset[str] = ALL) -> Iterator[bytes]:
    """The text a scrape gets, piece by piece: every family is announced, even without samples.

    ``wanted`` are the only samples shown, by their full names; families without any are left out.
    """
    for family in families:
        lines = [
            f"# HELP {family.name} {_escaped(family.help)}\n",
            f"# TYPE {family.name} {family.kind.value}\n",
        ]
        announced = len(lines) if wanted else 0
        for values, cell in family.cells():
            lines += _series(family, values, cell, wanted)
            if len(lines) >= PIECE:
                yield "".join(lines).encode()
                announced = 0
                lines = []
        if len(lines) > announced:
            yield "".join(lines).encode()


def _series(
    family: Family, values: tuple[str, ...], cell: Cell, wanted: frozenset[str]
) -> list[str]:
    """The lines of one series, with the numbers of one moment."""
    name = family.name
    shown = [
        f'{label}="{_quoted(text)}"' for label, text in zip(family.labels, values, strict=True)
    ]
    labels = ",".join(shown)
    alone = f"{{{labels}}}" if labels else ""
    before = f"{labels}," if labels else ""
    return [
        f'{name}{suffix}{{{before}le="{bound}"}} {_number(value)}\n'
        if bound
        else f"{name}{suffix}{alone} {_number(value)}\n"
        for suffix, bound, value in cell.samples()
        if not wanted or name + suffix in wanted
    ]


def _number(value: float) -> str:
    if isfinite(value):
        # Always with a point, never with a small e: how the original's clients saw numbers.
        return repr(float(value)).upper()
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
