"""Counts and times of one model version.

``control.model`` gets one from ``Metrics.model`` and everything that happens to the version is
told to it: by the queue (``arrived``, ``rejected``, ``cancelled``), by dispatch (``answered``,
``batch``, ``points``) and by the slots (``worker_...``). All calls are cheap and never raise.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from flambeau.errors import Unavailable
from flambeau.metrics.families import Counter
from flambeau.metrics.loglines import Point, line_ends
from flambeau.spread import finish

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flambeau.metrics.families import Cell, Family
    from flambeau.metrics.registry import Metrics

REASONS = frozenset(error.reason for error in Unavailable.__subclasses__())
"""Why a request may be rejected; anything else is counted as ``other``."""


class RecordedValue(Protocol):
    """One value a handler recorded: what this module needs of the worker's message."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def dimensions(self) -> list[tuple[str, str]]: ...  # noqa: D102
    @property
    def request_ids(self) -> str: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102


Told = TypeVar("Told")
PREDICTION_TIME = "PredictionTime"
MOST_WAITING = 10_000
"""Answers kept uncounted at most, should nobody run ``tally``."""
PIECE = 16
"""Answers counted at a stretch: some 20 microseconds. Counting many at once is what is cheap."""


class Series(NamedTuple):
    """Where points with one name and one set of dimensions go."""

    cell: Cell
    head: str
    tail: str


def _taken(waiting: list[Told]) -> list[Told]:
    """The first of what waits, taken out."""
    piece = waiting[:PIECE]
    del waiting[:PIECE]
    return piece


class ModelMetrics:
    """The recorder of one version. Made and forgotten by ``Metrics``."""

    def __init__(self, metrics: Metrics, name: str, version: str) -> None:
        self._metrics = metrics
        self._held: set[tuple[Family, tuple[str, ...]]] = set()
        self._points: dict[tuple[object, ...], Series] = {}
        self._labels = {"model_name": name, "model_version": version}
        by_default = {"model_name": name, "model_version": "default"}
        self._requests = self._pair("ts_inference_requests_total", by_default)
        self._latency = self._pair("ts_inference_latency_microseconds", by_default)
        self._queued = self._pair("ts_queue_latency_microseconds", by_default)
        self._queue_time = metrics.queue_time
        self._thread_time = metrics.thread_time
        self._total_seconds = self._own("flambeau_request_seconds")
        self._queue_seconds = self._own("flambeau_queue_seconds")
        self._wait_seconds = self._own("flambeau_batch_wait_seconds")
        self._handler_seconds = self._own("flambeau_handler_seconds")
        self._sizes = self._own("flambeau_batch_size")
        self._cancelled = self._own("flambeau_cancelled_total")
        self._restarts = self._own("flambeau_worker_restarts_total")
        self._told = metrics.told
        self._answers: list[tuple[bool, float, float]] = []
        self._batches: list[tuple[int, float, float, float]] = []
        self._predicted: list[tuple[float, str]] = []
        self._prediction = Point(
            PREDICTION_TIME,
            0.0,
            "Milliseconds",
            "gauge",
            [("ModelName", name), ("Level", "Model")],
            "",
            0,
        )
        self._rejected: dict[str, Cell] = {}
        self._workers: dict[str, int] = {}

    def arrived(self, version_given: bool) -> None:  # noqa: FBT001 - an index on the hot path
        """A request was accepted; ``version_given`` says that its path named the version."""
        self._requests[version_given].record(1.0)

    def answered(
        self,
        version_given: bool,  # noqa: FBT001 - an index on the hot path
        total_s: float,
        queue_s: float,
    ) -> None:
        """A request got its result ``total_s`` after arriving, ``queue_s`` of them in the queue."""
        if not self._answers:
            self._told[self] = None
        self._answers.append((version_given, total_s, queue_s))

    def batch(
        self,
        size: int,
        wait_s: float,
        handler_s: float,
        worker_thread_s: float,
        request_ids: str = "",
    ) -> None:
        """A batch of ``size`` came back.

        ``wait_s`` it was collected for, ``handler_s`` the handler took, ``worker_thread_s`` the
        round took beside waiting for the worker. ``request_ids``, joined by commas, are those the
        handler has returned for: their PredictionTime is ``handler_s``.
        """
        if not self._batches:
            self._told[self] = None
        self._batches.append((size, wait_s, handler_s, worker_thread_s))
        if request_ids:
            self._predicted.append((handler_s, request_ids))
        if len(self._answers) > MOST_WAITING:
            finish(self.tally())

    def tally(self) -> Iterator[None]:
        """Count what was told since the last time; a step is one piece.

        Told on the way of every request, counted here for many at once: by the timer that writes
        the logs, and before anybody looks. Between two steps each answer is either counted in all
        its series or waits in the list.
        """
        while self._answers or self._batches or self._predicted:
            self._tally_answers(_taken(self._answers))
            self._tally_batches(_taken(self._batches))
            self._tally_predictions(_taken(self._predicted))
            yield

    def _tally_answers(self, answers: list[tuple[bool, float, float]]) -> None:
        for named in (False, True):
            totals = [total for given, total, _ in answers if given is named]
            if totals:
                queued = [queue for given, _, queue in answers if given is named]
                self._latency[named].record_all([total * 1e6 for total in totals])
                self._queued[named].record_all([queue * 1e6 for queue in queued])
                self._total_seconds.record_all(totals)
                self._queue_seconds.record_all(queued)
                self._queue_time.record_all([queue * 1e3 // 1 for queue in queued])

    def _tally_batches(self, batches: list[tuple[int, float, float, float]]) -> None:
        if batches:
            sizes, waits, handlers, threads = zip(*batches, strict=True)
            self._sizes.record_all(sizes)
            self._wait_seconds.record_all(waits)
            self._handler_seconds.record_all(handlers)
            self._thread_time.record_all([thread * 1e3 // 1 for thread in threads])

    def _tally_predictions(self, predicted: list[tuple[float, str]]) -> None:
        """What the original's worker records itself for every batch."""
        series = self._series(self._prediction) if predicted else None
        if series is not None:
            spent = [(round(seconds * 1e3, 2), ids) for seconds, ids in predicted]
            series.cell.record_all([value for value, _ in spent])
            lines = self._metrics.point_lines
            if lines is not None:
                now = int(self._metrics.clock())
                lines.extend([(series, value, ids, now) for value, ids in spent])

    def rejected(self, reason: str) -> None:
        """A request was refused; ``reason`` is one of REASONS."""
        reason = reason if reason in REASONS else "other"
        cell = self._rejected.get(reason)
        if cell is None:
            cell = self._own("flambeau_rejected_total", reason=reason)
            self._rejected[reason] = cell
        cell.record(1.0)

    def cancelled(self) -> None:
        """A client went away before its answer."""
        self._cancelled.record(1.0)

    def worker_loaded(self, worker_name: str, seconds: float) -> None:
        """A worker became ready ``seconds`` after its slot began."""
        self._cell("WorkerLoadTime", {"WorkerName": worker_name}).record(seconds * 1e3 // 1)

    def worker_restarted(self) -> None:
        """A worker is being started again after a failure."""
        self._restarts.record(1.0)

    def worker_moved(self, before: str | None, after: str | None) -> None:
        """A worker went from one state to another; None: it did not exist, or is gone."""
        for state, change in ((before, -1), (after, 1)):
            if state is not None:
                self._workers[state] = count = self._workers.get(state, 0) + change
                self._own("flambeau_workers", state=state).record(count)

    def worker_gone(self, worker_name: str) -> None:
        """A slot was given up: its series disappear."""
        found = self._metrics.place("WorkerLoadTime", {"WorkerName": worker_name})
        if found in self._held:
            self._held.remove(found)
            found[0].release(found[1])

    def points(self, points: Sequence[RecordedValue]) -> None:
        """Values the handler recorded during a batch."""
        lines = self._metrics.point_lines
        for point in points:
            value = point.value
            if not isfinite(value):
                self._metrics.complain(point.name, f"its value {value!r} is not a finite number")
                continue
            series = self._series(point)
            if series is None:
                continue
            series.cell.record(value)
            if lines is not None:
                lines.append((series, value, point.request_ids, point.timestamp))

    def forget(self) -> None:
        """Drop every series that only this version recorded to."""
        for family, values in self._held:
            family.release(values)
        self._held.clear()
        self._points.clear()

    def _series(self, point: RecordedValue) -> Series | None:
        key = (point.name, *point.dimensions)
        return self._points.get(key) or self._find(point, key)

    def _find(self, point: RecordedValue, key: tuple[object, ...]) -> Series | None:
        found = self._metrics.place_point(point)
        if found is None:
            return None
        family, values = found
        cell = self._hold(family, values)
        if cell is None:
            return None
        dimensions = list(zip(family.labels, values, strict=True))[:-1]
        ends = line_ends(family.name, family.unit, dimensions, self._metrics.hostname)
        series = self._points[key] = Series(cell, *ends)
        return series

    def _pair(self, name: str, by_default: dict[str, str]) -> tuple[Cell, Cell]:
        # Indexed by version_given: False is the label "default".
        return self._cell(name, by_default), self._cell(name, self._labels)

    def _own(self, name: str, **more: str) -> Cell:
        return self._cell(name, {**self._labels, **more})

    def _cell(self, name: str, known: dict[str, str]) -> Cell:
        found = self._metrics.place(name, known)
        cell = self._hold(*found) if found else None
        return cell or Counter()

    def _hold(self, family: Family, values: tuple[str, ...]) -> Cell | None:
        if (family, values) in self._held:
            return family.cell(values)
        cell = family.hold(values)
        if cell is not None:
            self._held.add((family, values))
        return cell
