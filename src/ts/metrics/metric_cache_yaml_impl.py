"""The metrics object of a worker."""

from __future__ import annotations

from flambeau.worker.metric import CachingMetric as CachingMetric
from flambeau.worker.metric_values import MetricTypes as MetricTypes
from flambeau.worker.metrics import MetricCacheAbstract as MetricCacheAbstract
from flambeau.worker.metrics import MetricsCacheYamlImpl as MetricsCacheYamlImpl
