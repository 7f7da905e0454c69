"""The numbers themselves: families of cells, one cell for each set of label values.

Cells are plain attributes, so that recording costs a tenth of a microsecond; they become text only
when somebody scrapes. ``metrics.registry`` makes the families, ``metrics.model`` holds the cells it
records to. All use is from the event loop's
thread. The number of cells of a family is limited: label values beyond it are not kept.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from typing import TYPE_CHECKING, Protocol

from flambeau.metrics.definitions import MetricKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flambeau.metrics.definitions import Definition

CLIENT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The usual default of Prometheus client libraries."""
SERIES_LIMIT = 2000
"""Cells a family may have: a handler that puts request ids in labels must not fill the memory."""
_log = logging.getLogger("flambeau.metrics")


class Cell(Protocol):
    """One series."""

    holders: int
    """How many models record to it; it is removed when the last one goes."""

    def record(self, value: float) -> None:
        """Add, set or observe ``value``, as the kind says."""

    def record_all(self, values: Sequence[float]) -> None:
        """Record several values, in their order."""

    def news(self) -> float | None:
        """What came since the last call, for the log: a counter's sum, else the last value."""

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """Name suffix, bucket bound (empty: none) and value of each line shown."""


class Counter:
    """A sum that only grows."""

    __slots__ = ("holders", "logged", "value")

    def __init__(self) -> None:
        self.holders = 0
        self.value = 0.0
        self.logged = 0.0

    def record(self, value: float) -> None:
        """Add ``value``; a negative one is ignored."""
        if value > 0:
            self.value += value

    def record_all(self, values: Sequence[float]) -> None:
        """Add all of them."""
        self.value += sum([value for value in values if value > 0])

    def news(self) -> float | None:
        """The sum added since the last call; None for nothing."""
        grown = self.value - self.logged
        self.logged = self.value
        return grown or None

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """One line."""
        yield "", "", self.value


class Gauge:
    """The last value. Shows nothing until it has one."""

    __slots__ = ("fresh", "holders", "value")

    def __init__(self) -> None:
        self.holders = 0
        self.value: float | None = None
        self.fresh = False

    def record(self, value: float) -> None:
        """Replace the value."""
        self.value = value
        self.fresh = True

    def record_all(self, values: Sequence[float]) -> None:
        """Keep the last."""
        if values:
            self.record(values[-1])

    def news(self) -> float | None:
        """The value, if it was recorded since the last call."""
        fresh, self.fresh = self.fresh, False
        return self.value if fresh else None

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """One line, or none."""
        if self.value is not None:
            yield "", "", self.value


class Histogram:
    """How values are spread over buckets; ``bounds`` are their upper ends, ascending."""

    __slots__ = ("bounds", "counts", "fresh", "holders", "last", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.holders = 0
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.last = 0.0
        self.fresh = False

    def record(self, value: float) -> None:
        """Count ``value`` in its bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
        self.last = value
        self.fresh = True

    def record_all(self, values: Sequence[float]) -> None:
        """Count each in its bucket."""
        if values:
            counts, bounds = self.counts, self.bounds
            for value in values:
                counts[bisect_left(bounds, value)] += 1
            self.total += sum(values)
            self.last = values[-1]
            self.fresh = True

    def news(self) -> float | None:
        """The last value, if it was recorded since the last call."""
        fresh, self.fresh = self.fresh, False
        return self.last if fresh else None

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """The cumulated buckets, their count and the sum of all values."""
        cumulated = 0
        bounds = [*map(repr, self.bounds), "+Inf"]
        for bound, count in zip(bounds, self.counts, strict=True):
            cumulated += count
            yield "_bucket", bound, float(cumulated)
        yield "_count", "", float(cumulated)
        yield "_sum", "", self.total


class Family:
    """One metric with all its series."""

    def __init__(
        self,
        definition: Definition,
        help_text: str = "",
        bounds: tuple[float, ...] = CLIENT_BUCKETS,
        limit: int = SERIES_LIMIT,
    ) -> None:
        self.name = definition.name
        self.unit = definition.unit
        self.kind = definition.kind
        self.labels = definition.labels
        self.dropped = 0
        """Values that were not kept because of the limit."""
        self.help = help_text or (
            f"Torchserve prometheus {self.kind.value} metric with unit: {self.unit}"
        )
        self._bounds = bounds
        self._limit = limit
        self._cells: dict[tuple[str, ...], Cell] = {}

    def cell(self, values: tuple[str, ...]) -> Cell | None:
        """The cell somebody holds for these label values."""
        return self._cells.get(values)

    def hold(self, values: tuple[str, ...]) -> Cell | None:
        """The cell for these label values, made if need be; None beyond the limit.

        Every ``hold`` is paired with a ``release``, except for cells that stay for good.
        """
        cell = self._cells.get(values)
        if cell is None:
            if len(self._cells) >= self._limit:
                self._drop()
                return None
            cell = self._cells[values] = self.new_cell()
        cell.holders += 1
        return cell

    def release(self, values: tuple[str, ...]) -> None:
        """One holder less; the series is gone with its last holder."""
        cell = self._cells[values]
        cell.holders -= 1
        if not cell.holders:
            del self._cells[values]

    def new_cell(self) -> Cell:
        """A cell of this family's kind that belongs to no series."""
        if self.kind is MetricKind.COUNTER:
            return Counter()
        if self.kind is MetricKind.GAUGE:
            return Gauge()
        return Histogram(self._bounds)

    def news(self, piece: int) -> Iterator[list[tuple[tuple[str, ...], float]]]:
        """Label values and news of the cells that have any; ``piece`` cells looked at in a step."""
        cells = self.cells()
        for first in range(0, len(cells), piece):
            news = [(values, cell.news()) for values, cell in cells[first : first + piece]]
            yield [(values, value) for values, value in news if value is not None]

    def cells(self) -> list[tuple[tuple[str, ...], Cell]]:
        """Label values and cell of each series that there is now."""
        return list(self._cells.items())

    def names(self) -> set[str]:
        """Every name the text may show for this family: no other may have one of them."""
        suffixes = ("", "_bucket", "_count", "_sum", "_created")
        return {
            self.name + suffix
            for suffix in suffixes[: self.kind is not MetricKind.HISTOGRAM or None]
        }

    def _drop(self) -> None:
        if not self.dropped:
            _log.warning(
                "metric %s has %d sets of label values; further ones are not kept. "
                "Do not use request ids or inputs as dimensions.",
                self.name,
                self._limit,
            )
        self.dropped += 1
