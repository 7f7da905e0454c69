"""The logs of a real server: details in JSON lines, and every failure found by its request id."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

import httpx
import pytest

FAILING = """
import time

def handle(data, context):
    if data is None:
        return None
    text = bytes(data[0].get("body") or b"").decode()
    if text == "fail":
        raise ValueError("deep inside")
    time.sleep(0.02)
    return ["fine"] * len(data)
"""


def lines_of(server, name, met):
    """The lines of a log once ``met`` is true of them; they are written a moment later."""
    path = server.folder / "logs" / name
    until = time.monotonic() + 10
    while True:
        lines = path.read_text().splitlines() if path.exists() else []
        if met(lines) or time.monotonic() > until:
            return lines
        time.sleep(0.02)


def about(server, request_id, *more):
    """What ``flambeau logs`` prints about one request."""
    return subprocess.run(
        [sys.executable, "-m", "flambeau", "logs", "--request", request_id, *more],
        cwd=server.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(params=["text", "json"])
def server(request, serve):
    started = serve(
        {"failing.mar": {"failing.py": FAILING}}, settings={"log_format": request.param}
    )
    started.form = request.param
    assert started.register("failing.mar").status_code == 200
    return started


def test_a_handlers_traceback_is_found_by_the_id_of_the_error(server):
    answer = server.predict("failing", "fail")
    assert answer.status_code == 503
    request_id = answer.headers["x-request-id"]
    lines_of(server, "model_log.log", lambda lines: any("deep inside" in one for one in lines))
    lines_of(server, "access_log.log", lambda lines: any("predictions" in one for one in lines))
    found = about(server, request_id)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("ValueError: deep inside") == 1
    assert "Traceback (most recent call last)" in found.stdout
    assert "failing.py" in found.stdout
    assert ("access_log.log: " in found.stdout) is (server.form == "json")


def test_an_access_line_in_json_says_who_answered_and_how_long_it_took(server):
    answers = [server.predict("failing", "x"), server.predict("failing", "fail")]
    described = server.client.get(f"{server.management}/models/failing")
    lines = lines_of(server, "access_log.log", lambda lines: any("GET" in one for one in lines))
    if server.form == "text":
        assert any('"POST /predictions/failing HTTP/1.1" 503 ' in one for one in lines)
        assert not any(answers[0].headers["x-request-id"] in one for one in lines)
        return
    by_id = {one["request_id"]: one for one in map(json.loads, lines)}
    fine, failed = (by_id[answer.headers["x-request-id"]] for answer in answers)
    worker = described.json()[0]["workers"][0]["id"]
    for line, status in ((fine, 200), (failed, 503)):
        assert (line["model"], line["version"]) == ("failing", "1.0")
        assert line["worker"] == f"W-{worker}-failing_1.0"
        assert line["status"] == status
        assert (line["method"], line["target"]) == ("POST", "/predictions/failing")
        assert 0 <= line["queue_ms"] < 1000
    assert 20 <= fine["handler_ms"] < 1000
    assert fine["ms"] >= 20
    other = by_id[described.headers["x-request-id"]]
    assert "model" not in other
    assert "handler_ms" not in other


def test_every_error_has_its_request_id_in_a_header(server):
    for answer in (
        server.predict("nope"),
        server.client.get(f"{server.inference}/nothing"),
        server.client.get(f"{server.management}/models/nope"),
        server.client.post(f"{server.management}/models"),
        server.client.patch(f"{server.management}/models"),
    ):
        assert answer.status_code >= 400
        assert len(answer.headers["x-request-id"]) == 36
        assert answer.json().keys() == {"code", "type", "message"}


REFUSED = {
    400: (b"nonsense\r\n\r\n", "- - HTTP/-"),
    413: (
        b"POST /predictions/a HTTP/1.1\r\nHost: h\r\nContent-Length: 7000000\r\n\r\n",
        "POST /predictions/a HTTP/1.1",
    ),
    417: (
        b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: more\r\n\r\na",
        "PUT /a HTTP/1.1",
    ),
    505: (b"GET /ping HTTP/2.0\r\n\r\n", "GET /ping HTTP/2.0"),
}
"""What ends inside the protocol, and how the access log spells it."""


def counted(server, family):
    """The sum of one family of counters, as scraped."""
    text = server.client.get(f"{server.metrics}/metrics").text
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith((f"{family}{{", f"{family}_total{{"))
    )


def test_requests_that_end_inside_the_protocol_are_logged_and_counted(serve):
    server = serve({}, settings={"metrics_mode": "prometheus"})
    host, port = httpx.URL(server.inference).host, httpx.URL(server.inference).port
    before = [counted(server, name) for name in ("Requests4XX", "Requests5XX")]
    for status, (sent, _) in REFUSED.items():
        with socket.create_connection((host, port), timeout=10) as client:
            client.sendall(sent)
            assert client.recv(12) == b"HTTP/1.1 %d" % status
    asked = {f'"{asked}" {status} ' for status, (_, asked) in REFUSED.items()}
    lines = lines_of(
        server,
        "access_log.log",
        lambda lines: all(any(words in line for line in lines) for words in asked),
    )
    assert {words: sum(words in line for line in lines) for words in asked} == dict.fromkeys(
        asked, 1
    )
    after = [counted(server, name) for name in ("Requests4XX", "Requests5XX")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 1]
