"""Scrape text: the Prometheus text format 0.0.4.

``metrics.registry`` calls ``exposition`` with a ``prometheus_client`` registry. The library's own
writer is not used because it sorts labels and appends ``_total`` to counters, and the traditional
names have neither; the tests read this text back with the library's parser.
"""

from __future__ import annotations

from math import isfinite, isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(metrics: Iterable[Metric]) -> bytes:
    """The text a scrape gets: every family is announced, even one without samples."""
    lines: list[str] = []
    for metric in metrics:
        name = metric.name
        lines.append(f"# HELP {name} {_escaped(metric.documentation)}\n")
        lines.append(f"# TYPE {name} {metric.type}\n")
        for sample in metric.samples:
            labels = ",".join(
                f'{label}="{_quoted(value)}"' for label, value in sample.labels.items()
            )
            shown = f"{{{labels}}}" if labels else ""
            lines.append(f"{sample.name}{shown} {_number(sample.value)}\n")
    return "".join(lines).encode()


def _number(value: float) -> str:
    if isfinite(value):
        # Always with a point, never with a small e: how the original's clients saw numbers.
        return repr(float(value)).upper()
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
