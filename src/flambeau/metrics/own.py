"""THE table of metrics that flambeau keeps under names of its own, one row each.

``registry`` makes a family of every row, the metrics page and the reference page show it. Adding a
metric is one row here and one call that records to it. Metrics under the traditional names stand
in ``metrics.yaml`` instead, which users may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flambeau.metrics.definitions import Definition, MetricKind

_SECONDS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0),
)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_VERSION = ("model_name", "model_version")


@dataclass(frozen=True, slots=True)
class Own:
    """One metric: its labels in order, its sentence, and of a histogram the ends of its buckets."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    sentence: str
    bounds: tuple[float, ...] = ()

    @property
    def definition(self) -> Definition:
        """What a family is made from; own metrics name their unit."""
        return Definition(self.name, "", self.kind, self.labels)


OWN: Final = (
    Own("flambeau_request_seconds", MetricKind.HISTOGRAM, _VERSION, "Arrival to answer.", _SECONDS),
    Own(
        "flambeau_queue_seconds",
        MetricKind.HISTOGRAM,
        _VERSION,
        "Arrival to leaving the queue.",
        _SECONDS,
    ),
    Own(
        "flambeau_batch_wait_seconds",
        MetricKind.HISTOGRAM,
        _VERSION,
        "Collecting a batch.",
        _SECONDS,
    ),
    Own(
        "flambeau_handler_seconds",
        MetricKind.HISTOGRAM,
        _VERSION,
        "Handler, for each batch.",
        _SECONDS,
    ),
    Own("flambeau_batch_size", MetricKind.HISTOGRAM, _VERSION, "Requests in a batch.", _SIZES),
    Own("flambeau_rejected_total", MetricKind.COUNTER, (*_VERSION, "reason"), "Requests refused."),
    Own(
        "flambeau_cancelled_total", MetricKind.COUNTER, _VERSION, "Clients gone before the answer."
    ),
    Own("flambeau_worker_restarts_total", MetricKind.COUNTER, _VERSION, "Workers started again."),
    Own("flambeau_workers", MetricKind.GAUGE, (*_VERSION, "state"), "Workers in each state."),
    Own(
        "flambeau_loop_lag_seconds",
        MetricKind.HISTOGRAM,
        (),
        "How late the event loop is.",
        _SECONDS,
    ),
)
