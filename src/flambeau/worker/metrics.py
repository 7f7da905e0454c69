"""The metrics object handlers use as ``context.metrics``.

``MetricsCacheYamlImpl`` and ``MetricCacheAbstract`` are public (``ts.metrics``). Inside a worker the
recorded points are collected and travel with the next Replies (``service`` drains them); made by
hand, outside a worker, a metric prints its ``[METRICS]`` log line. Nothing is aggregated here.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from flambeau.worker.metric import CachingMetric, MetricAbstract, log_point
from flambeau.worker.metric_values import (
    Dimension,
    MetricsCacheKeyError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
    MetricTypes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flambeau.transport.messages import MetricPoint
    from flambeau.worker.context import Batch

logger = logging.getLogger(__name__)

SHIPPED: Final = (
    (MetricTypes.GAUGE, "HandlerTime", "ms", ["ModelName", "Level"]),
    (MetricTypes.GAUGE, "PredictionTime", "ms", ["ModelName", "Level"]),
)
"""The model metrics of the shipped metrics.yaml, here as a table so that no yaml is imported."""

TIME_UNITS: Final = ("ms", "s")
SIZE_UNITS: Final = ("MB", "kB", "GB", "B")
MOST_WAITING: Final = 100_000
"""Points kept between two batches; a handler that records more loses the newest, with a log line."""


class MetricCacheAbstract(ABC):
    """The calls of ``context.metrics``; how metrics are kept is left to the class below."""

    def __init__(self, config_file_path: str = "") -> None:
        self.cache: dict[MetricTypes, dict[str, Any]] = {}
        self.store: list[Any] = []
        self.model_name: str | None = None
        self.config_file_path = config_file_path
        self._ids: Mapping[int, str] | str | None = None
        self._batch: Batch | None = None

    def follow(self, batch: Batch) -> None:
        """Take request ids from ``batch`` from now on."""
        self._batch = batch

    @property
    def request_ids(self) -> Mapping[int, str] | str | None:
        """The ids a metric is recorded for when no index is given."""
        return self._ids if self._batch is None else self._batch.request_ids()

    @request_ids.setter
    def request_ids(self, value: Mapping[int, str] | str | None) -> None:
        self.set_request_ids(value)

    def set_request_ids(self, request_ids: Mapping[int, str] | str | None) -> None:
        """Choose the ids the next metrics belong to."""
        if self._batch is None:
            self._ids = request_ids
        else:
            self._batch.ids = request_ids  # type: ignore[assignment]  # a str is shown as it is

    def _request_id(self, idx: int | None) -> str:
        ids = self.request_ids
        if not ids:
            return ""
        if isinstance(ids, str):
            return ids
        if idx is not None and idx in ids:
            return ids[idx]
        return ",".join(ids.values())

    def add_metric(  # noqa: PLR0917 - the public, positional signature
        self,
        name: str,
        value: float,
        unit: str,
        idx: int | None = None,
        dimensions: Sequence[Dimension] = (),
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> None:
        """Record a value of any metric; ``idx`` names the request of the batch it belongs to.

        ModelName and Level are added to the dimensions. Raises MetricsCacheTypeError for wrong
        argument types.
        """
        request_id = self._request_id(idx)
        every = list(dimensions)
        if request_id:
            every += [Dimension("ModelName", self.model_name), Dimension("Level", "Model")]
        else:
            every.append(Dimension("Level", "Error"))
        names = [one.name for one in every]
        metric = self._get_or_add(name, unit, names, metric_type)
        metric.add_or_update(value, [one.value for one in every], request_id)

    def add_counter(
        self, name: str, value: int, idx: int | None = None, dimensions: Sequence[Dimension] = ()
    ) -> None:
        """Count ``value`` more."""
        self.add_metric(name, value, "count", idx, dimensions)

    def add_time(  # noqa: PLR0917 - the public, positional signature
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "ms",
        dimensions: Sequence[Dimension] = (),
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        """Record a duration in ``ms`` or ``s``."""
        if unit not in TIME_UNITS:
            raise MetricsCacheValueError("the unit for a timed metric should be one of ['ms', 's']")
        self.add_metric(name, value, unit, idx, dimensions, metric_type)

    def add_size(  # noqa: PLR0917 - the public, positional signature
        self,
        name: str,
        value: float,
        idx: int | None = None,
        unit: str = "MB",
        dimensions: Sequence[Dimension] = (),
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        """Record a size in ``MB``, ``kB``, ``GB`` or ``B``."""
        if unit not in SIZE_UNITS:
            raise MetricsCacheValueError(
                "The unit for size based metric is one of ['MB','kB', 'GB', 'B']"
            )
        self.add_metric(name, value, unit, idx, dimensions, metric_type)

    def add_percent(
        self,
        name: str,
        value: float,
        idx: int | None = None,
        dimensions: Sequence[Dimension] = (),
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        """Record a percentage."""
        self.add_metric(name, value, "percent", idx, dimensions, metric_type)

    def add_error(self, name: str, value: float, dimensions: Sequence[Dimension] = ()) -> None:
        """Count errors; the dimension Level is ``Error``."""
        every = [*dimensions, Dimension("Level", "Error")]
        names = [one.name for one in every]
        metric = self._get_or_add(name, "", names, MetricTypes.COUNTER)
        metric.add_or_update(value, [one.value for one in every])

    def _get_or_add(
        self, name: str, unit: str, dimension_names: list[str], metric_type: MetricTypes
    ) -> MetricAbstract:
        try:
            return self.get_metric(name, metric_type)
        except MetricsCacheKeyError:
            return self.add_metric_to_cache(name, unit, dimension_names, metric_type)

    @abstractmethod
    def initialize_cache(self) -> None:
        """Fill the cache from the metrics file."""

    @abstractmethod
    def get_metric(
        self, metric_name: str, metric_type: MetricTypes = MetricTypes.COUNTER
    ) -> MetricAbstract:
        """The metric of that kind and name. Raises MetricsCacheKeyError."""

    @abstractmethod
    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str] = (),
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> MetricAbstract:
        """A new metric, to record values of later."""


class MetricsCacheYamlImpl(MetricCacheAbstract):
    """The metrics object of a worker, filled from a metrics file or the shipped table."""

    def __init__(self, config_file_path: str = "") -> None:
        super().__init__(config_file_path)
        self._waiting: list[MetricPoint] = []
        self._sink: Callable[[MetricPoint], None] = log_point

    def collect(self) -> None:
        """Keep points for ``drain`` from now on, in place of printing them."""
        self._sink = self._keep

    def _keep(self, point: MetricPoint) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(point)
        elif len(self._waiting) == MOST_WAITING:
            self._waiting.append(point)
            logger.error("more than %d metric values in one batch; the rest is lost", MOST_WAITING)

    def drain(self) -> list[MetricPoint]:
        """What has been recorded since the last call."""
        points = self._waiting
        if points:
            self._waiting = []
            return points
        return []

    def initialize_cache(self) -> None:
        """Define the metrics of the file, or the shipped ones without a file.

        Raises a MetricsCache error for a file that is missing, no YAML or incomplete.
        """
        if self.config_file_path == "":
            definitions: Any = SHIPPED
        else:
            from flambeau.worker import metric_file  # noqa: PLC0415 - imports yaml

            definitions = metric_file.model_metrics(self.config_file_path)
        for metric_type, name, unit, dimension_names in definitions:
            self.add_metric_to_cache(name, unit, list(dimension_names), metric_type)

    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str,
        dimension_names: Sequence[str] = (),
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> CachingMetric:
        """A new metric, to record values of later. Raises MetricsCacheTypeError."""
        _expect(metric_name, str, "`metric_name` must be a str")
        _expect(unit, str, "`unit` must be a str")
        _expect(
            dimension_names,
            (list, tuple),
            "`dimension_names` should be a list of dimension name strings",
        )
        _expect(metric_type, MetricTypes, "`metric_type` must be a MetricTypes enum")
        known = self.cache.setdefault(metric_type, {})
        if metric_name in known:
            logger.warning("Overriding existing key %s:%s", metric_type, metric_name)
        metric = CachingMetric(metric_name, unit, list(dimension_names), metric_type, self._sink)
        known[metric_name] = metric
        return metric

    def get_metric(
        self, metric_name: str, metric_type: MetricTypes = MetricTypes.COUNTER
    ) -> CachingMetric:
        """The metric of that kind and name. Raises MetricsCacheKeyError."""
        _expect(metric_name, str, "`metric_name` must be a str")
        _expect(metric_type, MetricTypes, "`metric_type` must be a MetricTypes enum")
        try:
            return self.cache[metric_type][metric_name]  # type: ignore[no-any-return]  # filled above
        except KeyError:
            raise MetricsCacheKeyError(
                f"Metric of type '{metric_type}' and name '{metric_name}' doesn't exist"
            ) from None

    def cache_keys(self) -> dict[str, list[str]]:
        """Names of the metrics known, by kind."""
        return {kind.value: list(known) for kind, known in self.cache.items()}


def _expect(value: object, kind: type | tuple[type, ...], text: str) -> None:
    if not isinstance(value, kind):
        raise MetricsCacheTypeError(text)
