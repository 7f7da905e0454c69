"""The metrics objects of older handlers: ``Metric``, ``MetricsStore`` and their JSON form.

Public as ``ts.metrics.metric``, ``…metrics_store`` and ``…metric_encoder``; offline test rigs and
custom system-metrics scripts build them by hand. New code uses ``context.metrics``.
"""

from __future__ import annotations

import json
import os
from time import time
from typing import TYPE_CHECKING, Any

from flambeau.worker.metric import CachingMetric
from flambeau.worker.metric_values import (
    UNIT_NAMES,
    Dimension,
    MetricsCacheValueError,
    MetricTypes,
)
from flambeau.worker.metrics import SIZE_UNITS, TIME_UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Metric:
    """One named value with its dimensions; ``str()`` gives its log line."""

    def __init__(  # noqa: PLR0917 - the public, positional signature
        self,
        name: str,
        value: Any,
        unit: str | None,
        dimensions: Sequence[Dimension],
        request_id: str | None = None,
        metric_method: str | None = None,
    ) -> None:
        self.name = name
        self.value = value
        self.unit = UNIT_NAMES.get(unit, str(unit))
        self.dimensions = list(dimensions)
        self.request_id = request_id
        self.metric_method = metric_method
        self.metric_type = MetricTypes.COUNTER
        self.dimension_names = [one.name for one in self.dimensions]
        self.dimension_values = [one.value for one in self.dimensions]

    def update(self, value: Any) -> None:
        """Take a new value, added to the old one if the metric counts, and log it."""
        self.value = self.value + value if self.metric_method == "counter" else value
        self._log()

    def reset(self) -> None:
        """Go back to zero, and log it."""
        self.value = 0
        self._log()

    def _log(self) -> None:
        metric = CachingMetric(self.name, self.unit, self.dimension_names, self.metric_type)
        metric.add_or_update(self.value, self.dimension_values, self.request_id or "")

    def __str__(self) -> str:
        dimensions = ",".join(str(one) for one in self.dimensions)
        line = (
            f"{self.name}.{self.unit}:{self.value}|#{dimensions}|#hostname:{_host()},{int(time())}"
        )
        return f"{line},{self.request_id}" if self.request_id else line

    def to_dict(self) -> dict[str, Any]:
        """Everything about the metric under its JSON names."""
        return {
            "MetricName": self.name,
            "Value": self.value,
            "Unit": self.unit,
            "Dimensions": self.dimensions,
            "Timestamp": int(time()),
            "HostName": _host(),
            "RequestId": self.request_id,
        }


def _host() -> str:
    return os.uname().nodename


class MetricEncoder(json.JSONEncoder):
    """JSON of metrics and dimensions."""

    def default(self, o: Any) -> Any:
        """The dict of a Metric or Dimension; TypeError for anything else."""
        if isinstance(o, (Metric, Dimension)):
            return o.to_dict()
        return super().default(o)


class MetricsStore:
    """A list of metrics with the ``add_*`` calls; the same metric is updated, not added twice."""

    def __init__(self, request_ids: Mapping[int, str] | None, model_name: str | None) -> None:
        self.store: list[Metric] = []
        self.request_ids = request_ids
        self.model_name = model_name
        self.cache: dict[str, Metric] = {}

    def _add_or_update(  # noqa: PLR0917 - the public, positional signature
        self,
        name: str,
        value: Any,
        req_id: str | None,
        unit: str,
        metrics_method: str | None = None,
        dimensions: Sequence[Dimension] | None = None,
    ) -> None:
        every = list(dimensions or ())
        if req_id is None:
            every.append(Dimension("Level", "Error"))
        else:
            every += [Dimension("ModelName", self.model_name), Dimension("Level", "Model")]
        key = "-".join([name, unit, str(req_id), *map(str, every)])
        if key in self.cache:
            self.cache[key].update(value)
            return
        metric = Metric(name, value, unit, every, req_id, metrics_method)
        self.store.append(metric)
        self.cache[key] = metric

    def _get_req(self, idx: int | None) -> str | None:
        if not self.request_ids:
            return None
        if idx is not None and idx in self.request_ids:
            return self.request_ids[idx]
        return ",".join(self.request_ids.values())

    def add_counter(
        self,
        name: str,
        value: int,
        idx: int | None = None,
        dimensions: Sequence[Dimension] | None = None,
    ) -> None:
        """Count ``value`` more."""
        self._add_or_update(name, value, self._get_req(idx), "count", "counter", dimensions)

    def add_time(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "ms",
        dimensions: Sequence[Dimension] | None = None,
    ) -> None:
        """Record a duration in ``ms`` or ``s``."""
        if unit not in TIME_UNITS:
            raise MetricsCacheValueError("the unit for a timed metric should be one of ['ms', 's']")
        self._add_or_update(name, value, self._get_req(idx), unit, dimensions=dimensions)

    def add_size(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "MB",
        dimensions: Sequence[Dimension] | None = None,
    ) -> None:
        """Record a size in ``MB``, ``kB``, ``GB`` or ``B``."""
        if unit not in SIZE_UNITS:
            raise MetricsCacheValueError(
                "The unit for size based metric is one of ['MB','kB', 'GB', 'B']"
            )
        self._add_or_update(name, value, self._get_req(idx), unit, dimensions=dimensions)

    def add_percent(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        dimensions: Sequence[Dimension] | None = None,
    ) -> None:
        """Record a percentage."""
        self._add_or_update(name, value, self._get_req(idx), "percent", dimensions=dimensions)

    def add_error(
        self, name: str, value: Any, dimensions: Sequence[Dimension] | None = None
    ) -> None:
        """Record an error of the worker itself."""
        self._add_or_update(name, value, None, "", dimensions=dimensions)

    def add_metric(
        self,
        name: str,
        value: Any,
        unit: str,
        idx: int | None = None,
        dimensions: Sequence[Dimension] | None = None,
    ) -> None:
        """Record a value of any unit."""
        self._add_or_update(name, value, self._get_req(idx), unit, dimensions=dimensions)


def emit_metrics(metrics: Sequence[Any]) -> None:
    """Print the log line of each metric, for a server that reads them from its workers' output."""
    for metric in metrics:
        print(f"[METRICS]{metric}")  # noqa: T201 - stdout is the wire of this old interface
