"""The metrics object of older handlers."""

from __future__ import annotations

from flambeau.worker.metric_store import Metric as Metric
from flambeau.worker.metric_store import MetricsStore as MetricsStore
from flambeau.worker.metric_values import Dimension as Dimension
