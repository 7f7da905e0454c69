"""What every metric has."""

from __future__ import annotations

from flambeau.worker.metric import MetricAbstract as MetricAbstract
from flambeau.worker.metric_values import METRIC_UNITS
from flambeau.worker.metric_values import MetricTypes as MetricTypes
from flambeau.worker.metric_values import Units as Units

MetricUnit = METRIC_UNITS
