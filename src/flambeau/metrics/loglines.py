"""The metric log-line form, both ways.

``metrics.registry`` writes these lines to the two metric logs; ``supervision.output`` and
``metrics.system`` read the lines that handlers and collector scripts print. Tools parse the
form, so it is kept to the letter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "[METRICS]"
_LINE = re.compile(
    r"\s*(?P<name>[\w\s]+)\.(?P<unit>[\w\s]+):(?P<value>[0-9\-,.eE+]+)"
    r"\|#(?P<dimensions>[^|]*)"
    r"(?:\|#type:(?P<kind>[^|,]+))?"
    r"\|#hostname:(?P<hostname>[^,|]*)"
    r"(?:,(?P<timestamp>\d+))?(?:,(?P<request_ids>.*))?\s*"
)
_UNITS = {
    "milliseconds": "Milliseconds",
    "ms": "Milliseconds",
    "s": "Seconds",
    "percent": "Percent",
    "count": "Count",
    "mb": "Megabytes",
    "gb": "Gigabytes",
    "kb": "Kilobytes",
    "b": "Bytes",
}
_KINDS = frozenset({"counter", "gauge", "histogram"})


class LineError(ValueError):
    """A line that is no metric; the message says what is expected."""


class Point(NamedTuple):
    """One value somebody recorded, as a log line carries it."""

    name: str
    value: float
    unit: str
    kind: str
    """``counter``, ``gauge``, ``histogram``; empty when the line does not say."""
    dimensions: list[tuple[str, str]]
    request_ids: str
    timestamp: int
    """Seconds since the epoch; 0 when the line does not say."""


def parse(line: str) -> Point:
    """The point in ``[METRICS]Name.Unit:value|#dim:val,...|#type:GAUGE|#hostname:h,ts[,ids]``.

    The prefix, ``#type``, the time and the request ids may be missing. Raises LineError.
    """
    matched = _LINE.fullmatch(line.removeprefix(PREFIX))
    if matched is None:
        raise LineError(
            f"Failed to parse metrics line: {line!r}. Expected "
            "Name.Unit:value|#dimension:value,...|#hostname:host,seconds"
        )
    try:
        value = float(matched["value"].replace(",", "."))
        dimensions = _dimensions(matched["dimensions"])
    except ValueError as error:
        raise LineError(f"Failed to parse metrics line: {line!r}: {error}") from error
    kind = (matched["kind"] or "").strip().lower()
    unit = matched["unit"].strip()
    return Point(
        matched["name"].strip(),
        value,
        _UNITS.get(unit.lower(), unit),
        kind if kind in _KINDS else "",
        dimensions,
        matched["request_ids"] or "",
        int(matched["timestamp"] or 0),
    )


def server_line(
    name: str,
    unit: str,
    value: float,
    dimensions: Sequence[tuple[str, str]],
    *,
    hostname: str,
    timestamp: int,
) -> str:
    """A line of ts_metrics.log, without the time the log puts in front."""
    shown = ",".join([f"{label}:{text}" for label, text in dimensions])
    return f"{name}.{unit}:{float(value)!r}|#{shown}|#hostname:{hostname},timestamp:{timestamp}"


def model_line(head: str, value: float, tail: str, request_ids: str, timestamp: int) -> str:
    """A line of model_metrics.log; ``head`` and ``tail`` come from ``line_ends``."""
    return f"{head}{value!r}{tail}{request_ids},timestamp:{timestamp}"


def line_ends(
    name: str, unit: str, dimensions: Sequence[tuple[str, str]], hostname: str
) -> tuple[str, str]:
    """What stands before and behind the value on every line of one series of a handler."""
    shown = ",".join([f"{label}:{text}" for label, text in dimensions])
    return f"{name}.{unit}:", f"|#{shown}|#hostname:{hostname},requestID:"


def _dimensions(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for item in text.split(","):
        if not item.strip():
            continue
        label, colon, value = item.partition(":")
        if not colon:
            raise ValueError(f"dimension {item!r} has no value")
        found.append((label.strip(), value.strip()))
    return found
