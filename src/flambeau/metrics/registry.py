"""Where every count and time is kept.

``server`` makes one ``Metrics``. The HTTP face counts answers in it, ``control.model`` asks it
for the recorder of a version, ``metrics.system`` gives it readings of the machine, and the
metrics endpoint asks it for the text of a scrape. It does no I/O: log lines go to the sinks it
was given. All calls come from the event loop's thread.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING

from flambeau.metrics.definitions import Definition, MetricKind, check_definition
from flambeau.metrics.families import Counter, Family, Gauge
from flambeau.metrics.loglines import model_line, server_line
from flambeau.metrics.model import PIECE, ModelMetrics
from flambeau.metrics.own import OWN
from flambeau.metrics.prometheus import exposition
from flambeau.spread import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flambeau.metrics.definitions import Definitions
    from flambeau.metrics.families import Cell
    from flambeau.metrics.loglines import Point
    from flambeau.metrics.model import RecordedValue, Series

    Sink = Callable[[list[str]], None]
    PointLine = tuple[Series, float, str, int]

_TRADITIONAL_COUNTERS = frozenset(
    {
        "ts_inference_requests_total",
        "ts_inference_latency_microseconds",
        "ts_queue_latency_microseconds",
    }
)
_LOG_EVERY = 1.0
_FAMILY_LIMIT = 1000
_log = logging.getLogger("flambeau.metrics")


class Mode(StrEnum):
    """Where values go besides the scrape text (setting ``metrics_mode``)."""

    LOG = "log"
    """Metric log lines too."""
    PROMETHEUS = "prometheus"
    """No metric log lines."""
    LEGACY = "legacy"
    """Lines for all but three counters; the scrape text has those three only."""


class Metrics:
    """All metrics of this server."""

    def __init__(
        self,
        definitions: Definitions,
        *,
        mode: Mode = Mode.LOG,
        auto_detect: bool = False,
        server_sink: Sink | None = None,
        model_sink: Sink | None = None,
        hostname: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.hostname = hostname or socket.gethostname()
        self._mode = mode
        self._auto_detect = auto_detect
        self._server_sink = None if mode is Mode.PROMETHEUS else server_sink
        self._model_sink = None if mode is Mode.PROMETHEUS else model_sink
        self.clock = clock
        self._names: set[str] = set()
        """Every name that may stand in the text: of the families and their samples."""
        self._models: dict[tuple[str, str], ModelMetrics] = {}
        self.told: dict[ModelMetrics, None] = {}
        """The recorders that were told something they have not counted yet."""
        self._complaints: set[str] = set()
        self._host = {"Level": "Host", "Hostname": self.hostname, "hostname": self.hostname}
        self._families: dict[str, Family] = {}
        for own in OWN:
            self._add(Family(own.definition, own.sentence, own.bounds))
        self._server = [family for family in map(Family, definitions.server) if self._add(family)]
        self._model_names = {one.name for one in definitions.model if self._add(Family(one))}
        self._logged_at = 0.0
        self.point_lines: deque[PointLine] | None = deque() if self._model_sink else None
        self.queue_time: Cell = self._lasting("QueueTime") or Gauge()
        self.thread_time: Cell = self._lasting("WorkerThreadTime") or Gauge()
        self.loop_lag: Cell = self._lasting("flambeau_loop_lag_seconds") or Gauge()
        self._ok = self._lasting("Requests2XX") or Counter()
        self._refused = self._lasting("Requests4XX") or Counter()
        self._failed = self._lasting("Requests5XX") or Counter()

    def requests(self, status: int) -> None:
        """An HTTP answer with this status was sent."""
        if 200 <= status < 300:  # noqa: PLR2004 - the classes of HTTP
            self._ok.record(1.0)
        elif 400 <= status < 500:  # noqa: PLR2004
            self._refused.record(1.0)
        else:
            self._failed.record(1.0)

    def model(self, name: str, version: str) -> ModelMetrics:
        """The recorder of a version; the same one until ``forget``."""
        found = self._models.get((name, version))
        if found is None:
            found = self._models[name, version] = ModelMetrics(self, name, version)
        return found

    def of_worker(self, worker_name: str) -> ModelMetrics | None:
        """The recorder of the version that ``W-<id>-<model>_<version>`` works for."""
        title = worker_name.partition("-")[2].partition("-")[2]
        for (name, version), recorder in self._models.items():
            if title == f"{name}_{version}":
                return recorder
        return None

    def forget(self, name: str, version: str) -> None:
        """The version is unregistered: its series disappear. Unknown ones are ignored."""
        found = self._models.pop((name, version), None)
        if found is not None:
            self.flush(last=True)
            found.forget()

    def readings(self, points: Iterable[Point]) -> None:
        """Readings of the machine; names that no ``ts_metrics`` entry declares are dropped."""
        for point in points:
            # Scripts spell the accelerator's label in their own way.
            known = {_camel(label): value for label, value in point.dimensions}
            found = self.place(point.name, known)
            if found is not None:
                family, values = found
                cell = family.cell(values) or family.hold(values)
                if cell is not None:
                    cell.record(point.value)

    def exposition(self, names: list[str]) -> Iterator[bytes]:
        """The text of a scrape, in format 0.0.4, in short pieces.

        ``names`` are the only samples wanted; none: all of them.
        """
        for _ in self._tally():
            yield b""
        wanted = frozenset(names)
        if self._mode is Mode.LEGACY:
            wanted = _TRADITIONAL_COUNTERS & wanted if wanted else _TRADITIONAL_COUNTERS
            if not wanted:
                return
        yield from exposition(list(self._families.values()), wanted)

    def form(self, *, last: bool = False) -> Iterator[None]:
        """Form the lines due and hand them to the sinks; each step is short.

        Run by a timer of the loop. A handler's values get a line each; of the server's own metrics
        every series that changed gets one line a second, a counter's with what was added since.
        ``last`` hands over everything.
        """
        yield from self._tally()
        yield from self._model_lines()
        now = self.clock()
        if self._server_sink is not None and (last or now - self._logged_at >= _LOG_EVERY):
            self._logged_at = now
            yield from self._server_lines(int(now))

    def flush(self, *, last: bool = False) -> None:
        """The same at once, for a caller that cannot wait."""
        finish(self.form(last=last))

    def _tally(self) -> Iterator[None]:
        while self.told:
            model = next(iter(self.told))
            yield from model.tally()
            # Nothing ran since its last list was found empty.
            self.told.pop(model, None)

    def _model_lines(self) -> Iterator[None]:
        points, sink = self.point_lines, self._model_sink
        left = len(points) if points and sink is not None else 0
        while points and sink is not None and left > 0:
            lines = []
            for _ in range(min(left, len(points), PIECE)):
                series, value, request_ids, timestamp = points.popleft()
                lines.append(model_line(series.head, value, series.tail, request_ids, timestamp))
            left -= PIECE
            sink(lines)
            yield

    def place(self, name: str, known: Mapping[str, str]) -> tuple[Family, tuple[str, ...]] | None:
        """The family called ``name`` and its label values; None when it is not kept.

        ``known`` holds the values known for this metric, by label name; host name and level are
        known for all. A label that nobody knows is reported once.
        """
        family = self._families.get(name)
        if family is None or name in self._model_names:
            return None
        known = {**self._host, **known}
        unknown = [label for label in family.labels if label not in known]
        if unknown:
            self.complain(name, f"its dimension {unknown[0]} has no value here")
            return None
        return family, tuple([known[label] for label in family.labels])

    def place_point(self, point: RecordedValue) -> tuple[Family, tuple[str, ...]] | None:
        """Where a handler's value goes; None, and reported once, when it is not kept."""
        if point.name not in self._model_names and not self._detect(point):
            return None
        family = self._families[point.name]
        given = {**dict(point.dimensions), "Hostname": self.hostname}
        if len(given) != len(family.labels) or any(label not in given for label in family.labels):
            self.complain(
                point.name,
                f"it has the dimensions {', '.join(given)}; {', '.join(family.labels)} are declared",
            )
            return None
        return family, tuple([given[label] for label in family.labels])

    def complain(self, name: str, reason: str) -> None:
        """Say once that values of a metric are not kept, and why."""
        if name not in self._complaints and len(self._complaints) < 1000:  # noqa: PLR2004
            self._complaints.add(name)
            _log.error("Values of metric %s are dropped: %s.", name, reason)

    def _detect(self, point: RecordedValue) -> bool:
        if not self._auto_detect:
            self.complain(
                point.name,
                "metrics.yaml does not declare it under model_metrics, and "
                "model_metrics_auto_detect is off",
            )
            return False
        if point.name in self._families:
            self.complain(point.name, "the server has a metric of that name")
            return False
        try:
            labels = (*(label for label, _ in point.dimensions), "Hostname")
            definition = Definition(point.name, point.unit, MetricKind(point.kind), labels)
            check_definition(definition)
        except ValueError as error:
            self.complain(point.name, str(error))
            return False
        if len(self._families) >= _FAMILY_LIMIT or not self._add(Family(definition)):
            self.complain(point.name, "there are too many metrics, or one that has its names")
            return False
        self._model_names.add(point.name)
        return True

    def _add(self, family: Family) -> bool:
        taken = family.names() & self._names
        if taken:
            self.complain(family.name, f"another metric has the name {min(taken)}")
            return False
        self._names |= family.names()
        self._families[family.name] = family
        return True

    def _lasting(self, name: str) -> Cell | None:
        found = self.place(name, {})
        return found[0].hold(found[1]) if found else None

    def _server_lines(self, timestamp: int) -> Iterator[None]:
        sink = self._server_sink
        for family in self._server:
            if self._mode is Mode.LEGACY and family.name in _TRADITIONAL_COUNTERS:
                continue
            for news in family.news(PIECE):
                lines = [
                    server_line(
                        family.name,
                        family.unit,
                        value,
                        list(zip(family.labels, values, strict=True))[:-1],
                        hostname=self.hostname,
                        timestamp=timestamp,
                    )
                    for values, value in news
                ]
                if lines and sink is not None:
                    sink(lines)
                yield


def _camel(label: str) -> str:
    return "".join([part[:1].upper() + part[1:] for part in label.split("_")])
