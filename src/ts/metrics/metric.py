"""The metric object of older handlers."""

from __future__ import annotations

from flambeau.worker.metric import CachingMetric as CachingMetric
from flambeau.worker.metric_store import Metric as Metric
from flambeau.worker.metric_values import METRIC_UNITS
from flambeau.worker.metric_values import MetricTypes as MetricTypes
from flambeau.worker.metric_values import Units as Units

MetricUnit = METRIC_UNITS
