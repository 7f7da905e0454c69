"""The generator at a fixed rate tells what clients would have seen, stalls included."""

from __future__ import annotations

import http.server
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from bench import pace
from bench.measure import Loaded, read_pace
from bench.workloads import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="pace.c needs a C compiler")

STALL = 0.25


class Stub(http.server.ThreadingHTTPServer):
    """One request at a time; number ``stalled_turn`` takes STALL seconds, the others ``each``."""

    def __init__(self, stalled_turn: int = -1, each: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.gate = threading.Lock()
        self.turn = 0
        self.stalled_turn, self.each = stalled_turn, each
        self.port = self.server_address[1]

    def pass_gate(self) -> int:
        """The turn of this request, taken alone."""
        with self.gate:
            self.turn += 1
            pause = STALL if self.turn == self.stalled_turn else self.each
            if pause:
                time.sleep(pause)
            return self.turn


class Answering(http.server.BaseHTTPRequestHandler):
    """Says ok; every second request to /flaky is refused; /closing ends each connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # head and body leave together
    server: Stub

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        turn = self.server.pass_gate()
        if self.path == "/endless":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            return
        self.send_response(503 if self.path == "/flaky" and turn % 2 else 200)
        self.send_header("Content-Length", "2")
        if self.path == "/closing":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "PROGRAM", tmp_path_factory.mktemp("pace") / "pace")
        pace.provide_pace()
        made = pace.pace()
    assert made
    return made


@pytest.fixture
def serve() -> Iterator:
    stubs = []

    def start(**behaviour: float) -> Stub:
        stub = Stub(**behaviour)
        threading.Thread(target=stub.serve_forever, args=[0.02]).start()
        stubs.append(stub)
        return stub

    yield start
    for stub in stubs:
        stub.shutdown()
        stub.server_close()


def run(program: Path, stub: Stub, *, path: str = "/", rate: int, seconds: float = 1.0) -> Loaded:
    workload = Workload("any", "", "noop", 1, 4, latency=True, rate=rate)
    return read_pace(pace.apply_pace(program, stub.port, path, workload, seconds))


@needs_compiler
def test_a_stall_shows_in_every_request_that_was_due_in_it(program, serve):
    # A quarter of the requests are due in the stall; they wait 0 to STALL seconds, evenly spread. The
    # slowest hundredth of all is the slowest 4 % of those, so the 99th percentile is 96 % of the stall.
    loaded = run(program, serve(stalled_turn=50), rate=400)
    assert loaded.intended == 400
    assert loaded.errors == 0
    assert loaded.p99_ms >= 0.96 * STALL * 1000 - 1000 / 400
    assert loaded.p999_ms >= loaded.p99_ms
    assert loaded.p50_ms < STALL * 1000 / 2


@needs_compiler
def test_a_closed_loop_hides_a_stall_from_all_but_those_who_met_it(program, serve):
    stub = serve(stalled_turn=50, each=0.001)
    loaded = run(program, stub, rate=0)
    assert loaded.requests > 0
    assert loaded.errors == 0
    assert loaded.lag_ms == 0
    assert loaded.p50_ms < STALL * 1000 / 2


@needs_compiler
def test_requests_that_a_slow_server_never_answers_count_with_the_time_they_waited(program, serve):
    # 50 answers a second where 500 are asked for: after half a second nine in ten still wait.
    loaded = run(program, serve(each=0.02), rate=500, seconds=0.5)
    assert loaded.intended == 250
    assert loaded.requests <= 26
    assert loaded.p50_ms > 1000


@needs_compiler
def test_a_refused_request_is_an_error_and_not_an_answer(program, serve):
    loaded = run(program, serve(), path="/flaky", rate=100)
    assert loaded.intended == 100
    assert loaded.errors == 50
    assert loaded.requests <= 50


@needs_compiler
def test_connections_that_the_server_closes_are_opened_again(program, serve):
    loaded = run(program, serve(), path="/closing", rate=100, seconds=0.5)
    assert loaded.requests + loaded.errors >= 49


@needs_compiler
def test_an_answer_without_a_length_breaks_the_load_off(program, serve):
    with pytest.raises(subprocess.CalledProcessError):
        run(program, serve(), path="/endless", rate=100)


def test_without_a_compiler_the_rows_are_left_out_and_it_says_why(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(pace, "PROGRAM", tmp_path / "pace")
    monkeypatch.setenv("PATH", str(tmp_path))
    pace.provide_pace()
    assert pace.pace() is None
    assert "there is no `cc`" in capsys.readouterr().out
