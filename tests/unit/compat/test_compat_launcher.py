"""The launcher's functions. Its ports are fixed, so a stand-in for the management API listens
there only where the port is free."""

from __future__ import annotations

import http.server
import io
import threading
from queue import Queue

import pytest

from flambeau.compat import launcher


class Management(http.server.BaseHTTPRequestHandler):
    seen: list[str] = []  # noqa: RUF012 - one server per test

    def do_POST(self):
        self.seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


@pytest.fixture
def management(monkeypatch):
    Management.seen = []
    server = http.server.HTTPServer(("127.0.0.1", 0), Management)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(launcher, "MANAGEMENT", f"http://127.0.0.1:{server.server_port}/models")
    yield Management.seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_management_api_is_looked_for_where_it_always_was():
    assert launcher.MANAGEMENT == "http://localhost:8081/models"


def test_a_model_is_registered_with_one_worker_waited_for(management):
    answer = launcher.register_model("m", "a b.mar")
    assert answer.status_code == 200
    assert management == ["/models?model_name=m&url=a+b.mar&initial_workers=1&synchronous=true"]


@pytest.mark.parametrize(
    "params", [{"url": "a.mar", "batch_size": 4}, [("url", "a.mar"), ("batch_size", 4)]]
)
def test_any_parameters_are_passed_on(management, params):
    launcher.register_model_with_params(params)
    assert management == ["/models?url=a.mar&batch_size=4"]


def test_output_goes_to_both_queues_and_ends_with_none():
    tee = launcher.Tee(io.StringIO("one\ntwo\n"))
    tee.start()
    tee.join()
    for queue in (tee.queue1, tee.queue2):
        assert [queue.get_nowait() for _ in range(3)] == ["one\n", "two\n", None]


def test_lines_are_printed_until_the_end(capsys):
    queue = Queue()
    for line in ("one\n", "two\n", None):
        queue.put(line)
    printer = launcher.PrintTillTheEnd(queue)
    printer.start()
    printer.join()
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_server_that_does_not_start_shows_its_last_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(launcher.StartFailed, match="--model-store directory not found"):
        launcher.start(model_store="no-such-folder", no_config_snapshots=True)
