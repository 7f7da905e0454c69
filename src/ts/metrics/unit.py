"""Units of metrics."""

from __future__ import annotations

from flambeau.worker.metric_values import Units as Units
