"""The logs: five files in the original's line forms, and the console.

``server`` opens them with ``Logs`` and calls ``flush`` from a loop timer. On the way of a
request a log costs one append to a deque; formatting happens in ``flush``, writing on the
threads of ``logs.rolling``. The server's own messages come through ``logging``.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from time import time
from typing import TYPE_CHECKING

from flambeau.logs.lines import (
    Details,
    JsonLine,
    Stamps,
    level_name,
    visible,
    visible_lines,
)
from flambeau.logs.plan import Stream
from flambeau.logs.rolling import Console, RollingFile, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from flambeau.logs.plan import LogPlan

    _Details = tuple[str, str, str, float | None, float | None]
    _Answered = tuple[float, str, bytes, bytes, str, int, int, str, _Details | None]

_REMEMBERED = 2048
"""Most beginnings of access lines kept."""
LINES_A_FLUSH = 256
"""Access lines aimed at: more hold up the loop for longer, and their text takes memory."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 0.05
"""Seconds between two flushes: of a busy server, of one that idles and should do so cheaply."""
_NOTHING = Details()
_log = logging.getLogger("flambeau.logs")


class _Outlet:
    """One log's way out: its file, and the copies where the plan asks for them."""

    def __init__(self, stream: Stream, logs: Logs) -> None:
        self.stream = stream
        self.json = logs.plan.json
        self._logs = logs
        plan = logs.plan.files[stream]
        self.on = plan.level <= logging.INFO
        self._file = RollingFile(plan.path, plan.max_bytes, plan.keep) if plan.path else None
        self.copied = stream in logs.plan.copied

    def write(self, text: str, copies: str = "") -> None:
        """Send finished lines out; ``copies`` are the same lines in the server log's form."""
        self.append(text)
        if self.copied:
            self._logs.copy(copies or text)

    def append(self, text: str) -> None:
        """Send finished lines to the file only."""
        if self._file is not None:
            self._logs.files.put(self._file, text)


class AccessLog:
    """One line for each answered request."""

    def __init__(self, outlet: _Outlet) -> None:
        self.detailed = outlet.json
        """Lines may carry details; in text form they would be thrown away."""
        self._outlet = outlet
        self._on = outlet.on
        self._stamps = Stamps()
        self._lines: deque[tuple[float, str, bytes, bytes, str, int, int, str, _Details | None]] = (
            deque()
        )
        self._append = self._lines.append
        self._asked: dict[tuple[str, bytes, bytes, str], str] = {}

    def line(  # noqa: PLR0917 - called for every request; positional is quickest
        self,
        peer: str,
        method: bytes,
        target: bytes,
        version: str,
        status: int,
        ms: int,
        request_id: str = "",
        details: _Details | None = None,
    ) -> None:
        """One request was answered: who asked what, the status, and how long it took."""
        self._append((time(), peer, method, target, version, status, ms, request_id, details))

    def waiting(self) -> int:
        """Lines written and not yet handed over."""
        return len(self._lines)

    def flush(self) -> None:
        """Format and hand over the lines so far."""
        if not self._lines:
            return
        lines = list(self._lines)
        self._lines.clear()
        if not self._on:
            return
        if self._outlet.json:
            self._outlet.write("".join([self._as_json(line) for line in lines]))
            return
        stamp = self._stamps.of
        texts: list[str] = []
        copies: list[str] = []
        known, copied = self._asked, self._outlet.copied
        for now, peer, method, target, version, status, ms, _, _ in lines:
            asked = known.get((peer, method, target, version))
            if asked is None:
                asked = self._remember(peer, method, target, version)
            at = stamp(now)
            texts.append(f"{at} - {asked}{status} {ms}\n")
            if copied:
                copies.append(f"{at} [INFO ] main ACCESS_LOG - {asked}{status} {ms}\n")
        self._outlet.write("".join(texts), "".join(copies))

    def _remember(self, peer: str, method: bytes, target: bytes, version: str) -> str:
        """The part of a line that the requests of one client often share."""
        asked = f'{peer} "{method.decode("latin-1")} {_target(target)} HTTP/{version}" '
        if len(self._asked) >= _REMEMBERED:
            self._asked.clear()
        self._asked[peer, method, target, version] = asked
        return asked

    def _as_json(self, line: _Answered) -> str:
        now, peer, method, target, version, status, ms, request_id, details = line
        model, model_version, worker, queue_ms, handler_ms = details or _NOTHING
        return JsonLine(
            time=self._stamps.of(now),
            level="INFO",
            logger="ACCESS_LOG",
            peer=peer,
            method=method.decode("latin-1"),
            target=target.decode("latin-1"),
            protocol=f"HTTP/{version}",
            status=status,
            ms=ms,
            request_id=request_id,
            model=model,
            version=model_version,
            worker=worker,
            queue_ms=queue_ms,
            handler_ms=handler_ms,
        ).text()


class ModelLog:
    """What workers print: standard output at INFO, standard error at WARN."""

    def __init__(self, outlet: _Outlet, level: int) -> None:
        self._outlet = outlet
        self._level = level
        self._stamps = Stamps()
        self._lines: deque[tuple[float, str, int, str]] = deque()

    def write(self, worker_name: str, stream: str, line: str) -> None:
        """One line of a worker's ``stdout`` or ``stderr``."""
        level = logging.WARNING if stream == "stderr" else logging.INFO
        if level >= self._level:
            self._lines.append((time(), f"{worker_name}-{stream}", level, line))

    def flush(self) -> None:
        """Format and hand over the lines so far."""
        if self._lines:
            lines = list(self._lines)
            self._lines.clear()
            self._outlet.write("".join([self._formed(*line) for line in lines]))

    def _formed(self, now: float, thread: str, level: int, line: str) -> str:
        stamp = self._stamps.of(now)
        if self._outlet.json:
            return JsonLine(
                time=stamp, level=level_name(level), logger="MODEL_LOG", thread=thread, message=line
            ).text()
        return f"{stamp} [{level_name(level):<5}] {thread} MODEL_LOG - {visible(line)}\n"


class MetricLog:
    """Metric lines, which ``metrics`` has formed; the log adds the time."""

    def __init__(self, outlet: _Outlet) -> None:
        self._outlet = outlet
        self._stamps = Stamps()

    def write(self, lines: Iterable[str]) -> None:
        """Hand over several lines at once."""
        if not self._outlet.on:
            return
        stamp = self._stamps.of(time())
        name = self._outlet.stream.value
        if self._outlet.json:
            formed = [
                JsonLine(time=stamp, level="INFO", logger=name, message=line).text()
                for line in lines
            ]
            self._outlet.write("".join(formed))
            return
        shown = [visible(line) for line in lines]
        copies = [f"{stamp} [INFO ] main {name} - {line}\n" for line in shown]
        self._outlet.write(
            "".join([f"{stamp} - {line}\n" for line in shown]),
            "".join(copies) if self._outlet.copied else "",
        )


class _ServerLog(logging.Handler):
    """The way of ``logging`` records into ts_log.log and onto the console."""

    def __init__(self, logs: Logs, outlet: _Outlet) -> None:
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
        self._pause = LONGEST_PAUSE
        outlets = {stream: _Outlet(stream, self) for stream in Stream}
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

    def flush(self) -> float:
        """Hand over what has come since the last call; the seconds after which to call again."""
        waited, lines = self._pause, self.access.waiting()
        self._pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, waited * LINES_A_FLUSH / (lines or 1)))
        self.access.flush()
        self.model.flush()
        lost = self.files.lost + self._screen.lost
        if lost > self._lost and self.files.idle:
            _log.warning("log writing fell behind: characters_lost=%d", lost - self._lost)
            self._lost = lost
        return self._pause

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
        self.flush()
        root = logging.getLogger()
        if self._server in root.handlers:
            logging.captureWarnings(capture=False)
            root.removeHandler(self._server)
        self.files.close()
        self._screen.close(2.0)


def _target(target: bytes) -> str:
    text = target.decode("latin-1")
    if text.isprintable() and '"' not in text:
        return text
    return visible(text).replace('"', "%22").replace("\t", "%09")
