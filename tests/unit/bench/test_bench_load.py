"""The load generator counts what a server really answered."""

from __future__ import annotations

import http.server
import itertools
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.load import Load, body_size

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]


class Answering(http.server.BaseHTTPRequestHandler):
    """Echoes the size of what it got; every request to /flaky is refused in turn."""

    protocol_version = "HTTP/1.1"
    turns = itertools.count()

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers["Content-Length"])))
        refused = self.path == "/flaky" and next(self.turns) % 2
        body = b"no" if refused else str(size).encode()
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def run(port: int, path: str, body: bytes, connections: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", "--port", str(port), "--path", path]
    command += [
        "--connections",
        str(connections),
        "--seconds",
        "0.5",
        "--content-type",
        "text/plain",
    ]
    done = subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def test_answers_are_counted_and_timed(port: int) -> None:
    counted = run(port, "/", b"x", 4)
    assert counted["requests"] > 20
    assert counted["errors"] == 0
    assert 0 < counted["p50_ms"] <= counted["p99_ms"]
    assert counted["seconds"] == pytest.approx(0.5, abs=0.3)


def test_refusals_are_errors_and_not_answers(port: int) -> None:
    counted = run(port, "/flaky", b"x", 1)
    assert counted["requests"] > 5
    assert counted["errors"] == pytest.approx(counted["requests"], abs=1)


def test_bodies_larger_than_a_socket_buffer_arrive_whole(port: int) -> None:
    counted = run(port, "/", bytes(3_000_000), 2)
    assert counted["requests"] > 2
    assert counted["errors"] == 0


def test_a_server_that_is_not_there_ends_the_run() -> None:
    with pytest.raises(ConnectionRefusedError):
        Load(("127.0.0.1", 1), b"", 1)


def test_the_length_of_a_body_is_found_in_any_case_of_the_header() -> None:
    assert body_size(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\nx: 1") == 12
    assert body_size(b"HTTP/1.1 204 No Content") == 0
