"""JSON of old metrics."""

from __future__ import annotations

from flambeau.worker.metric_store import Metric as Metric
from flambeau.worker.metric_store import MetricEncoder as MetricEncoder
from flambeau.worker.metric_values import Dimension as Dimension
