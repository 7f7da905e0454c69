"""Errors of the metrics object."""

from __future__ import annotations

from flambeau.worker.metric_file import MetricsCachePyYamlError as MetricsCachePyYamlError
from flambeau.worker.metric_values import GeneralMetricsCacheError as GeneralMetricsCacheError
from flambeau.worker.metric_values import MetricsCacheIOError as MetricsCacheIOError
from flambeau.worker.metric_values import MetricsCacheKeyError as MetricsCacheKeyError
from flambeau.worker.metric_values import MetricsCacheTypeError as MetricsCacheTypeError
from flambeau.worker.metric_values import MetricsCacheValueError as MetricsCacheValueError
