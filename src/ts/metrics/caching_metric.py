"""One metric a handler records values of."""

from __future__ import annotations

from flambeau.worker.metric import CachingMetric as CachingMetric
from flambeau.worker.metric import MetricAbstract as MetricAbstract
from flambeau.worker.metric_values import Dimension as Dimension
from flambeau.worker.metric_values import MetricTypes as MetricTypes
