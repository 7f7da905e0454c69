from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flambeau.cli.client import Client, key_from, model_path
from flambeau.cli.screen import CommandFailed


@pytest.fixture
def answering():
    """``answering(status, body)`` is the address of a server that answers so, and what it saw."""
    servers = []

    def started(status, body):
        seen = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.command, self.path, self.headers.get("Authorization")))
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815 - the name http.server calls

            def log_message(self, *words):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", seen

    yield started
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_call_sends_the_key_and_only_the_parameters_that_are_given(answering):
    address, seen = answering(200, b'{"status": "done"}')
    given = {"min_worker": 2, "max_worker": None, "synchronous": True, "url": "a b&c"}
    assert Client(address + "/", "k").call("PUT", "/models/m", given) == {"status": "done"}
    assert seen == [
        ("PUT", "/models/m?min_worker=2&synchronous=true&url=a+b%26c", "Bearer k"),
    ]


def test_without_a_key_no_header_is_sent_and_an_empty_answer_is_none(answering):
    address, seen = answering(200, b"\n")
    assert Client(address, None).call("GET", "/token") is None
    assert seen[0][2] is None


def test_an_error_of_the_server_is_told_with_its_words(answering):
    body = {"code": 404, "type": "ModelNotFoundException", "message": "Model not found: m"}
    address, _ = answering(404, json.dumps(body).encode())
    with pytest.raises(CommandFailed) as caught:
        Client(address, None).call("GET", "/models/m")
    assert caught.value.message == "Model not found: m (404 ModelNotFoundException)"


def test_a_refused_key_names_the_ways_to_give_one(answering):
    body = {"code": 400, "type": "InvalidKeyException", "message": "Token failed"}
    address, _ = answering(400, json.dumps(body).encode())
    with pytest.raises(CommandFailed, match="--token, FLAMBEAU_TOKEN, or run where key_file"):
        Client(address, None).call("GET", "/models")


def test_an_error_of_something_else_is_told_by_its_status(answering):
    address, _ = answering(502, b"<html>")
    with pytest.raises(CommandFailed, match=r"^502 Bad Gateway$"):
        Client(address, None).call("GET", "/models")


def test_a_server_that_is_not_there_is_told_with_its_address():
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(CommandFailed, match=rf"127.0.0.1:{port}: .*Connection refused.*--address"):
        Client(f"http://127.0.0.1:{port}", None).call("GET", "/models")


def test_an_address_of_another_form_is_refused():
    with pytest.raises(CommandFailed, match="expected http://host:port"):
        Client("localhost:8081", None)


def test_names_and_versions_are_escaped_in_paths():
    assert model_path("a/b c") == "/models/a%2Fb%20c"
    assert model_path("m", "1/0") == "/models/m/1%2F0"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"management": 3}', '{"management": {}}'])
def test_a_broken_key_file_gives_no_key(tmp_path, text):
    (tmp_path / "k.json").write_text(text)
    assert key_from(tmp_path / "k.json", "management") is None
    assert key_from(Path("/nowhere/k.json"), "management") is None


def test_a_key_file_gives_the_key_of_its_kind(tmp_path):
    (tmp_path / "k.json").write_text('{"API": {"key": "secret"}}')
    assert key_from(tmp_path / "k.json", "API") == "secret"
