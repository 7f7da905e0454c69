"""The small values of the metrics API: units, kinds, dimensions and its errors.

Public through ``ts.metrics.unit``, ``…metric_type_enum``, ``…dimension`` and
``…metric_cache_errors``. No state, no input or output.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

UNIT_NAMES: Final[dict[str | None, str]] = {
    "ms": "Milliseconds",
    "s": "Seconds",
    "percent": "Percent",
    "count": "Count",
    "MB": "Megabytes",
    "GB": "Gigabytes",
    "kB": "Kilobytes",
    "B": "Bytes",
    "": "unit",
    None: "unit",
}
"""Short spelling to the one used on the wire; any other unit is used as it is."""


class Units:
    """The table of units as an object, as old code asks for it."""

    def __init__(self) -> None:
        self.units = dict(UNIT_NAMES)


METRIC_UNITS: Final = Units()


class MetricTypes(Enum):
    """Kinds of metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Dimension:
    """One name and value that tell a metric's series apart."""

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"

    def to_dict(self) -> dict[str, Any]:
        """``{"Name": …, "Value": …}``."""
        return {"Name": self.name, "Value": self.value}


class GeneralMetricsCacheError(Exception):
    """Anything wrong with the metrics object that has no better name."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class MetricsCacheIOError(OSError):
    """The metrics file cannot be read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class MetricsCacheTypeError(TypeError):
    """An argument has the wrong type."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class MetricsCacheValueError(ValueError):
    """An argument or a part of the metrics file has an impossible value."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class MetricsCacheKeyError(KeyError):
    """No metric has that kind and name, or the metrics file lacks a key."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
