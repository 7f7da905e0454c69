"""Metrics that handlers print: ``[METRICS]`` lines on a worker's standard output.

``server`` puts a ``PrintedMetrics`` between the workers' output and the model log. Metric lines
are recorded and leave the log; every other line passes through.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from flambeau.metrics.loglines import PREFIX, LineError, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.metrics.registry import Metrics

_log = logging.getLogger("flambeau.metrics")


class PrintedMetrics:
    """The way of worker output: metric lines to ``metrics``, the rest to ``sink``."""

    def __init__(self, metrics: Metrics, sink: Callable[[str, str, str], None]) -> None:
        self._metrics = metrics
        self._sink = sink

    def __call__(self, worker_name: str, stream: str, line: str) -> None:
        """Take one line of a worker called ``W-<id>-<model>_<version>``."""
        if not line.startswith(PREFIX):
            self._sink(worker_name, stream, line)
            return
        try:
            point = parse(line)
        except LineError as error:
            _log.error("worker=%s: %s", worker_name, error)
            return
        recorder = self._metrics.of_worker(worker_name)
        if recorder is not None:
            recorder.points([point])
