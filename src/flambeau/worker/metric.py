"""One metric a handler records values of.

``MetricAbstract`` and ``CachingMetric`` are public (``ts.metrics``). A metric hands each value to
its sink: inside a worker the collector in ``metrics``, elsewhere the log. It keeps no values.
"""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from time import time
from typing import TYPE_CHECKING, Any

from flambeau.transport.messages import MetricPoint
from flambeau.worker.metric_values import UNIT_NAMES, MetricTypes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flambeau.worker.metric_values import Dimension

logger = logging.getLogger(__name__)


class MetricAbstract(ABC):
    """What every metric has: a name, a unit, dimension names and a kind."""

    def __init__(
        self,
        metric_name: str,
        unit: str | None,
        dimension_names: list[str] | None = None,
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> None:
        self.metric_name = metric_name
        self.unit = UNIT_NAMES.get(unit, str(unit))
        self.dimension_names = [] if dimension_names is None else dimension_names
        self.metric_type = metric_type

    @abstractmethod
    def add_or_update(
        self, value: float, dimension_values: list[Any], request_id: str = ""
    ) -> None:
        """Record ``value``."""


class CachingMetric(MetricAbstract):
    """One metric a handler records values of."""

    def __init__(
        self,
        metric_name: str,
        unit: str | None,
        dimension_names: list[str] | None = None,
        metric_type: MetricTypes = MetricTypes.COUNTER,
        sink: Callable[[MetricPoint], None] | None = None,
    ) -> None:
        super().__init__(metric_name, unit, dimension_names, metric_type)
        self._sink = sink or log_point

    def add_or_update(
        self,
        value: float,
        dimension_values: Sequence[Any] = (),
        request_id: str = "",
    ) -> None:
        """Record ``value`` for these dimension values, in the order of the dimension names.

        A wrong number of values, a negative count or no number is an error in the log, no
        exception: a metric must not fail a prediction.
        """
        names = self.dimension_names
        if len(dimension_values) != len(names):
            self._refuse(
                value,
                f"Dimension values: {list(dimension_values)} "
                f"should correspond to Dimension names: {names}",
            )
            return
        self._record(value, list(zip(names, dimension_values, strict=True)), request_id)

    def update(
        self, value: float, request_id: str = "", dimensions: Sequence[Dimension] = ()
    ) -> None:
        """Record ``value`` with exactly these dimensions, whatever names were declared."""
        self._record(value, [(one.name, one.value) for one in dimensions], request_id)

    def _record(self, value: float, pairs: list[tuple[str, Any]], request_id: str) -> None:
        dimensions = [(str(name), str(text)) for name, text in pairs]
        if self.metric_type is MetricTypes.COUNTER and value < 0:
            self._refuse(value, "Counter metric update value cannot be negative", dimensions)
            return
        try:
            number = float(value)
        except (TypeError, ValueError):
            self._refuse(value, "the value is no number", dimensions)
            return
        self._sink(
            MetricPoint(
                self.metric_name,
                number,
                self.unit,
                self.metric_type.value,
                dimensions,
                request_id or "",
                int(time()),
            )
        )

    def _refuse(self, value: object, why: str, dimensions: Sequence[tuple[str, str]] = ()) -> None:
        shown = ",".join(f"{name}:{text}" for name, text in dimensions)
        logger.error(
            "[METRICS]Failed to update metric with name:%s and dimensions: %s with value: %s: %s",
            self.metric_name,
            shown,
            value,
            why,
        )


def log_point(point: MetricPoint) -> None:
    """Print ``point`` as the log line a server reads from its workers' output."""
    dimensions = ",".join(f"{name}:{text}" for name, text in point.dimensions)
    ids = f",{point.request_ids}" if point.request_ids else ""
    value = int(point.value) if point.value.is_integer() else point.value
    logging.getLogger().info(  # the bare message on the root logger is the wire form
        "[METRICS]%s.%s:%s|#%s|#type:%s|#hostname:%s,%d%s",
        point.name,
        point.unit,
        value,
        dimensions,
        point.kind.upper(),
        os.uname().nodename,
        point.timestamp,
        ids,
    )
