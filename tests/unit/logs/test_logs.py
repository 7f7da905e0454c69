from __future__ import annotations

import io
import json
import logging
import re
import warnings
from typing import TYPE_CHECKING

import pytest

from flambeau.logs.access import PIECE, AccessLine, Details
from flambeau.logs.lines import Stamps, visible
from flambeau.logs.logs import Logs
from flambeau.logs.plan import OFF, FilePlan, Stream, default_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = 1_795_342_560.527
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}"


class Opened:
    """Logs in a folder of the test; ``text`` closes them and reads one."""

    def __init__(self, folder: Path, plan) -> None:
        self.folder = folder
        self.console = io.StringIO()
        self.logs = Logs(plan, self.console)

    def text(self, name: str) -> str:
        self.logs.close()
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def open_logs(tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    flambeau_level = logging.getLogger("flambeau").level
    opened: list[Opened] = []

    def open_them(change=lambda plan: plan, **how) -> Opened:
        opened.append(Opened(tmp_path, change(default_plan(tmp_path, tmp_path, **how))))
        return opened[-1]

    yield open_them
    for one in opened:
        one.logs.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("flambeau").setLevel(flambeau_level)


def fail(text: str) -> None:
    raise ValueError(text)


def say(opened: Opened, target: bytes = b"/models?limit=2", **more) -> None:
    line = AccessLine(NOW, "/127.0.0.1:57272", b"GET", target, "1.1", 200, 3, **more)
    opened.logs.access.add(line)


def test_an_access_line_has_the_traditional_form(open_logs):
    opened = open_logs()
    say(opened)
    line = AccessLine(NOW, "127.0.0.1", b"gRPC", b"/pkg.Service/Ping", "2.0", 0, 12)
    opened.logs.access.add(line)
    first, second = opened.text("access_log").splitlines()
    assert re.fullmatch(
        rf'{TIME} - /127\.0\.0\.1:57272 "GET /models\?limit=2 HTTP/1\.1" 200 3', first
    )
    assert re.fullmatch(rf'{TIME} - 127\.0\.0\.1 "gRPC /pkg\.Service/Ping HTTP/2\.0" 0 12', second)


@pytest.mark.parametrize(
    "target",
    [
        b'/a HTTP/1.1" 200 3\n2026-11-22T10:16:00,527 - /1.2.3.4:5 "GET /forged',
        b"/a\r\nforged",
        b"/\x1b[2J\x1b]0;title\x07",
        b"/\x85\xa0next",
        b"/\x00\x7f",
        bytes(range(256)),
    ],
)
def test_a_target_cannot_forge_a_line_or_reach_the_terminal(open_logs, target):
    opened = open_logs()
    say(opened, target)
    text = opened.text("access_log")
    assert text.count("\n") == 1
    assert text[:-1].isprintable()
    assert re.fullmatch(rf'{TIME} - /127\.0\.0\.1:57272 "GET [^"]* HTTP/1\.1" 200 3\n', text)


def test_worker_output_has_level_and_stream(open_logs):
    opened = open_logs()
    opened.logs.model.write("W-9000-echo_1.0", "stdout", "loaded")
    opened.logs.model.write("W-9000-echo_1.0", "stderr", "careful\x1b[31m")
    lines = opened.text("model_log").splitlines()
    assert re.fullmatch(rf"{TIME} \[INFO \] W-9000-echo_1\.0-stdout MODEL_LOG - loaded", lines[0])
    assert re.fullmatch(
        rf"{TIME} \[WARN \] W-9000-echo_1\.0-stderr MODEL_LOG - careful\\x1b\[31m", lines[1]
    )


def test_worker_output_also_reaches_the_server_log_and_the_console(open_logs):
    opened = open_logs()
    opened.logs.model.write("W-9000-echo_1.0", "stdout", "loaded")
    text = opened.text("model_log")
    assert text
    assert opened.text("ts_log") == text
    assert opened.console.getvalue() == text


def test_metric_lines_get_a_time_only(open_logs):
    opened = open_logs()
    opened.logs.server_metrics.write(["a.Count:1.0|#|#hostname:vm", "b.Count:1.0|#|#hostname:vm"])
    opened.logs.model_metrics.write(["c.ms:1.0|#|#hostname:vm"])
    assert re.fullmatch(
        rf"{TIME} - a\.Count:1\.0\|#\|#hostname:vm\n{TIME} - b\.Count.*\n",
        opened.text("ts_metrics"),
    )
    assert re.fullmatch(rf"{TIME} - c\.ms:1\.0\|#\|#hostname:vm\n", opened.text("model_metrics"))


def test_the_server_logs_through_logging(open_logs):
    opened = open_logs()
    opened.logs.install()
    logging.getLogger("flambeau.control").debug("detail")
    logging.getLogger("flambeau.control").warning("model=%s gone", "echo")
    logging.getLogger("urllib3").debug("noise")
    text = opened.text("ts_log")
    assert re.fullmatch(
        rf"{TIME} \[DEBUG\] main flambeau\.control - detail\n"
        rf"{TIME} \[WARN \] main flambeau\.control - model=echo gone\n",
        text,
    )
    assert opened.console.getvalue() == text.splitlines(keepends=True)[1]


def test_tracebacks_follow_their_line_and_messages_cannot_forge_one(open_logs):
    opened = open_logs()
    opened.logs.install()
    try:
        fail("first\x1b\nsecond")
    except ValueError:
        logging.getLogger("flambeau.x").exception("failed on %s", "a\n2026-11-22T10:16:00,527 b")
    lines = opened.text("ts_log").splitlines()
    assert lines[1] == "    2026-11-22T10:16:00,527 b"
    assert lines[2] == "Traceback (most recent call last):"
    assert "ValueError: first\\x1b" in lines
    assert lines[-1] == "second"


def test_python_warnings_are_logged(open_logs):
    opened = open_logs()
    opened.logs.install()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    assert "py.warnings" in opened.text("ts_log")


def test_a_log_call_with_wrong_arguments_does_not_stop_the_caller(open_logs, capsys):
    opened = open_logs()
    opened.logs.install()
    logging.getLogger("flambeau.x").error("%d", "no number")
    assert opened.text("ts_log") == ""
    assert "Logging error" in capsys.readouterr().err


class TestJson:
    def test_an_access_line_carries_everything(self, open_logs):
        opened = open_logs(json=True)
        assert opened.logs.access.detailed
        details = Details("echo", "1.0", "W-9000-echo_1.0", 1.5, 2.25)
        say(opened, b'/a"\n', request_id="id-1", details=details)
        line = json.loads(opened.text("access_log"))
        assert re.fullmatch(TIME, line.pop("time"))
        assert line == {
            "level": "INFO",
            "logger": "ACCESS_LOG",
            "peer": "/127.0.0.1:57272",
            "method": "GET",
            "target": '/a"\n',
            "protocol": "HTTP/1.1",
            "status": 200,
            "ms": 3,
            "request_id": "id-1",
            "model": "echo",
            "version": "1.0",
            "worker": "W-9000-echo_1.0",
            "queue_ms": 1.5,
            "handler_ms": 2.25,
        }

    def test_what_is_not_known_is_left_out(self, open_logs):
        opened = open_logs(json=True)
        say(opened)
        assert set(json.loads(opened.text("access_log"))) == {
            *("time", "level", "logger", "peer", "method", "target", "protocol", "status", "ms"),
        }

    def test_every_log_has_one_object_a_line(self, open_logs):
        opened = open_logs(json=True)
        opened.logs.install()
        opened.logs.model.write("W-9000-echo_1.0", "stderr", "a\tb")
        opened.logs.server_metrics.write(["a.Count:1.0|#|#hostname:vm"])
        try:
            fail("one\ntwo")
        except ValueError:
            logging.getLogger("flambeau.x").exception("failed")
        model = json.loads(opened.text("model_log"))
        assert (model["level"], model["message"]) == ("WARN", "a\tb")
        assert model["thread"] == "W-9000-echo_1.0-stderr"
        assert json.loads(opened.text("ts_metrics"))["message"] == "a.Count:1.0|#|#hostname:vm"
        server = [json.loads(line) for line in opened.text("ts_log").splitlines()]
        failed = next(line for line in server if line["logger"] == "flambeau.x")
        assert failed["exception"].endswith("ValueError: one\ntwo")


class TestPlans:
    def test_logs_can_be_switched_off_or_kept_out_of_files(self, open_logs):
        def change(plan):
            files = {
                **plan.files,
                Stream.ACCESS: FilePlan(plan.files[Stream.ACCESS].path, OFF),
                Stream.SERVER_METRICS: FilePlan(None),
            }
            return type(plan)(files, copied=frozenset({Stream.SERVER_METRICS}))

        opened = open_logs(change)
        say(opened)
        opened.logs.server_metrics.write(["a.Count:1.0|#|#hostname:vm"])
        assert opened.text("access_log") == ""
        assert opened.text("ts_metrics") == ""
        assert re.fullmatch(
            rf"{TIME} \[INFO \] main TS_METRICS - a\.Count:1\.0\|#\|#hostname:vm\n",
            opened.text("ts_log"),
        )

    def test_the_access_log_can_be_copied_to_the_console(self, open_logs):
        opened = open_logs(lambda plan: type(plan)(plan.files, copied=frozenset({Stream.ACCESS})))
        say(opened)
        assert opened.text("access_log")
        assert re.fullmatch(
            rf'{TIME} \[INFO \] main ACCESS_LOG - /127\.0\.0\.1:57272 "GET .*" 200 3\n',
            opened.console.getvalue(),
        )

    def test_a_model_log_at_warn_drops_standard_output(self, open_logs):
        def change(plan):
            model = FilePlan(plan.files[Stream.MODEL].path, logging.WARNING)
            return type(plan)({**plan.files, Stream.MODEL: model})

        opened = open_logs(change)
        opened.logs.model.write("W", "stdout", "quiet")
        opened.logs.model.write("W", "stderr", "loud")
        text = opened.text("model_log")
        assert "loud" in text
        assert "quiet" not in text

    def test_single_loggers_have_levels_of_their_own(self, open_logs):
        opened = open_logs(
            lambda plan: type(plan)(plan.files, levels={"flambeau.noisy": logging.ERROR})
        )
        opened.logs.install()
        logging.getLogger("flambeau.noisy").warning("hushed")
        logging.getLogger("flambeau.other").warning("heard")
        text = opened.text("ts_log")
        logging.getLogger("flambeau.noisy").setLevel(logging.NOTSET)
        assert "heard" in text
        assert "hushed" not in text


def test_closing_gives_logging_back(open_logs):
    opened = open_logs()
    opened.logs.install()
    opened.logs.close()
    logging.getLogger("flambeau.x").warning("after the end")
    assert "after the end" not in opened.text("ts_log")


class TestPieces:
    """Lines are formed a few at a time, so that requests go between."""

    def test_thousands_of_lines_are_formed_in_short_pieces(self, open_logs):
        opened = open_logs()
        for number in range(100 * PIECE):
            say(opened, b"/%d" % number)
        assert sum(1 for _ in opened.logs.form()) == 100
        lines = opened.text("access_log").splitlines()
        assert [int(re.search(r"/(\d+) HTTP", line)[1]) for line in lines] == [*range(100 * PIECE)]

    def test_what_comes_while_lines_are_formed_waits_for_the_next_time(self, open_logs):
        opened = open_logs()
        say(opened)
        pieces = 0
        for _ in opened.logs.form():
            say(opened, b"/later")
            pieces += 1
        assert pieces == 1
        assert opened.text("access_log").count("\n") == 2

    def test_lines_left_half_way_are_written_at_the_end(self, open_logs):
        opened = open_logs()
        for _ in range(3 * PIECE):
            say(opened)
        next(opened.logs.form())
        assert opened.text("access_log").count("\n") == 3 * PIECE

    def test_worker_output_is_formed_in_pieces_too(self, open_logs):
        opened = open_logs()
        for number in range(2 * PIECE):
            opened.logs.model.write("W", "stdout", f"{number}")
        assert sum(1 for _ in opened.logs.form()) == 2
        assert opened.text("model_log").count("\n") == 2 * PIECE


def test_stamps_have_milliseconds_after_a_comma():
    stamps = Stamps()
    first = stamps.of(1_795_342_560.0)
    assert re.fullmatch(TIME, first)
    assert stamps.of(1_795_342_560.5) == first[:-3] + "500"
    assert stamps.of(1_795_342_561.75)[-4:] == ",750"


def test_plain_text_stays_as_it_is():
    assert visible("Grüße, 世界 \t!") == "Grüße, 世界 \t!"
    assert visible("a\u202eb\u2028c\x9bd") == "a\\u202eb\\u2028c\\x9bd"
