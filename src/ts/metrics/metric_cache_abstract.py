"""The calls of ``context.metrics``."""

from __future__ import annotations

from flambeau.worker.metric import MetricAbstract as MetricAbstract
from flambeau.worker.metric_values import Dimension as Dimension
from flambeau.worker.metric_values import MetricTypes as MetricTypes
from flambeau.worker.metrics import MetricCacheAbstract as MetricCacheAbstract
