"""The logs: five files in the original's line forms, and the console.

``server`` opens them with ``Logs`` and runs ``form`` from a loop timer. On the way of a request
a log costs one append to a deque; lines are formed in ``form``, a few at a time, and written on
the threads of ``logs.rolling``. The server's own messages come through ``logging``.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from time import time
from typing import TYPE_CHECKING

from flambeau.logs.access import PIECE, AccessLog
from flambeau.logs.lines import JsonLine, Stamps, level_name, visible, visible_lines
from flambeau.logs.outlet import Outlet
from flambeau.logs.plan import Stream
from flambeau.logs.rolling import Console, Writer
from flambeau.spread import finish

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from flambeau.logs.plan import LogPlan

PAUSE, IDLE_PAUSE = 0.01, 0.05
"""Seconds between two calls of ``form``: while requests come, and else. Rarer is cheaper, but what
gathers meanwhile is formed in one run, for which the requests of that run wait longer."""
_log = logging.getLogger("flambeau.logs")


class ModelLog:
    """What workers print: standard output at INFO, standard error at WARN."""

    def __init__(self, outlet: Outlet, level: int) -> None:
        self._outlet = outlet
        self._level = level
        self._stamps = Stamps()
        self._lines: deque[tuple[float, str, int, str]] = deque()

    def write(self, worker_name: str, stream: str, line: str) -> None:
        """One line of a worker's ``stdout`` or ``stderr``."""
        level = logging.WARNING if stream == "stderr" else logging.INFO
        if level >= self._level:
            self._lines.append((time(), f"{worker_name}-{stream}", level, line))

    def form(self) -> Iterator[None]:
        """Form the lines so far and collect them in the outlet; a step is one piece."""
        lines, left = self._lines, len(self._lines)
        while left > 0:
            piece = [self._formed(*lines.popleft()) for _ in range(min(left, PIECE))]
            left -= PIECE
            self._outlet.collect("".join(piece))
            yield

    def _formed(self, now: float, thread: str, level: int, line: str) -> str:
        stamp = self._stamps.of(now)
        if self._outlet.json:
            return JsonLine(
                time=stamp, level=level_name(level), logger="MODEL_LOG", thread=thread, message=line
            ).text()
        return f"{stamp} [{level_name(level):<5}] {thread} MODEL_LOG - {visible(line)}\n"


class MetricLog:
    """Metric lines, which ``metrics`` has formed; the log adds the time."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._stamps = Stamps()

    def write(self, lines: Iterable[str]) -> None:
        """Form lines, a piece at a time, and collect them in the outlet."""
        if not self._outlet.on:
            return
        stamp = self._stamps.of(time())
        name = self._outlet.stream.value
        if self._outlet.json:
            formed = [
                JsonLine(time=stamp, level="INFO", logger=name, message=line).text()
                for line in lines
            ]
            self._outlet.collect("".join(formed))
            return
        shown = [visible(line) for line in lines]
        copies = [f"{stamp} [INFO ] main {name} - {line}\n" for line in shown]
        self._outlet.collect(
            "".join([f"{stamp} - {line}\n" for line in shown]),
            "".join(copies) if self._outlet.copied else "",
        )


class _ServerLog(logging.Handler):
    """The way of ``logging`` records into ts_log.log and onto the console."""

    def __init__(self, logs: Logs, outlet: Outlet) -> None:
        super().__init__(logs.plan.files[Stream.SERVER].level)
        self._logs = logs
        self._outlet = outlet
        self._stamps = Stamps()
        self._tracebacks = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Form and hand over one record; a broken one is reported by ``logging`` itself."""
        try:
            text = self._formed(record)
        except Exception:  # noqa: BLE001 - a log call with wrong arguments must not raise
            self.handleError(record)
            return
        self._outlet.append(text)
        if record.levelno >= self._logs.plan.console_level:
            self._logs.print(text)

    def _formed(self, record: logging.LogRecord) -> str:
        stamp = self._stamps.of(record.created)
        thread = "main" if record.threadName == "MainThread" else record.threadName or "?"
        trace = self._tracebacks.formatException(record.exc_info) if record.exc_info else ""
        message = record.getMessage()
        level = level_name(record.levelno)
        if self._outlet.json:
            return JsonLine(
                time=stamp,
                level=level,
                logger=record.name,
                thread=thread,
                message=message,
                exception=trace,
            ).text()
        text = visible_lines(message)
        if trace:
            text += "\n" + "\n".join([visible(line) for line in trace.split("\n")])
        return f"{stamp} [{level:<5}] {thread} {record.name} - {text}\n"


class Logs:
    """All logs of one server. ``console`` is where the console's lines go."""

    def __init__(self, plan: LogPlan, console: TextIO | None = None) -> None:
        self.plan = plan
        self.files = Writer("log-writer")
        self._screen = Writer("console-writer")
        self._console = Console(console or sys.stdout)
        self._lost = 0
        self._outlets = {stream: Outlet(stream, plan, self.files, self) for stream in Stream}
        outlets = self._outlets
        self._server = _ServerLog(self, outlets[Stream.SERVER])
        self._server_outlet = outlets[Stream.SERVER]
        self.access = AccessLog(outlets[Stream.ACCESS])
        self.model = ModelLog(outlets[Stream.MODEL], plan.files[Stream.MODEL].level)
        self.server_metrics = MetricLog(outlets[Stream.SERVER_METRICS])
        self.model_metrics = MetricLog(outlets[Stream.MODEL_METRICS])

    def install(self) -> None:
        """Take over ``logging``: every record of this process comes here from now on."""
        root = logging.getLogger()
        for handler in list(root.handlers):
            root.removeHandler(handler)
        root.addHandler(self._server)
        root.setLevel(logging.INFO)
        logging.getLogger("flambeau").setLevel(self.plan.files[Stream.SERVER].level)
        for name, level in self.plan.levels.items():
            logging.getLogger(name).setLevel(level)
        logging.captureWarnings(capture=True)

    def form(self) -> Iterator[None]:
        """Form what has come and hand it over; each step is short, and requests may go between."""
        yield from self.access.form()
        yield from self.model.form()
        for outlet in self._outlets.values():
            outlet.hand_over()
        lost = self.files.lost + self._screen.lost
        if lost > self._lost and self.files.idle:
            _log.warning("log writing fell behind: characters_lost=%d", lost - self._lost)
            self._lost = lost

    def copy(self, text: str) -> None:
        """Lines of another log, for the server's log and the console."""
        self._server_outlet.append(text)
        if self.plan.console_level <= logging.INFO:
            self.print(text)

    def print(self, text: str) -> None:
        """Lines for the console."""
        self._screen.put(self._console, text)

    def close(self) -> None:
        """Write everything and give ``logging`` back."""
        finish(self.form())
        root = logging.getLogger()
        if self._server in root.handlers:
            logging.captureWarnings(capture=False)
            root.removeHandler(self._server)
        self.files.close()
        self._screen.close(2.0)
