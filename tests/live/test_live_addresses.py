"""The addresses a real server listens on: TLS, unix sockets, one port for all, CORS, size limits."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import stat
import tempfile
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)

from flambeau.security.tls import self_signed
from tests.running import free_ports

ECHO = """
def handle(data, context):
    return data and [bytes(row.get("body") or b"").decode() or "empty" for row in data]
"""
LONG = """
def handle(data, context):
    return data and ["x" * int(bytes(row["body"])) for row in data]
"""


# -- TLS


@pytest.fixture
def pair(tmp_path):
    """Paths of a certificate and its key."""
    made = self_signed()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.certificate)
    key.write_bytes(made.key)
    return certificate, key


@pytest.fixture
def keystore(tmp_path, pair):
    """Path of the same pair as a PKCS12 keystore with the password ``sesame``."""
    certificate, key = (path.read_bytes() for path in pair)
    path = tmp_path / "store.p12"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"flambeau",
            load_pem_private_key(key, None),
            x509.load_pem_x509_certificate(certificate),
            None,
            BestAvailableEncryption(b"sesame"),
        )
    )
    return path


@pytest.fixture
def secure(serve):
    """Start a server whose inference and management addresses say https."""

    def start(**settings):
        inference, management = free_ports(2)
        addresses = {
            "inference_address": f"https://127.0.0.1:{inference}",
            "management_address": f"https://127.0.0.1:{management}",
        }
        server = serve({"echo.mar": {"echo.py": ECHO}}, settings=addresses | settings)
        return server, inference, management

    return start


def ask(port, context, method, target, body=None):
    """Status, JSON-or-text body and TLS version of one request to localhost."""
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=30)
    try:
        connection.request(method, target, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), connection.sock.version()
    finally:
        connection.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("source", ["pem", "keystore"])
def test_https_serves_over_both_versions_of_tls(secure, pair, keystore, source, version):
    if source == "pem":
        settings = {"certificate_file": str(pair[0]), "private_key_file": str(pair[1])}
    else:
        settings = {"keystore": str(keystore), "keystore_pass": "sesame"}
    _, inference, management = secure(**settings)
    context = ssl.create_default_context(cafile=pair[0])
    context.minimum_version = context.maximum_version = version
    name = version.name.replace("v1_", "v1.")
    status, text, spoken = ask(
        management, context, "POST", "/models?url=echo.mar&initial_workers=1"
    )
    assert (status, spoken) == (200, name), text
    large = b"x" * 300_000
    assert ask(inference, context, "POST", "/predictions/echo", large) == (
        200,
        large.decode(),
        name,
    )


def test_https_without_a_certificate_makes_one_itself(secure):
    _, inference, _ = secure()
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    assert ask(inference, trusting, "GET", "/livez")[0] == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(inference, ssl.create_default_context(), "GET", "/livez")


def test_plain_http_to_a_tls_port_is_told_so(secure, pair):
    _, inference, management = secure(certificate_file=str(pair[0]), private_key_file=str(pair[1]))
    for port in (inference, management):
        for _ in range(2):
            answer = httpx.get(f"http://127.0.0.1:{port}/ping")
            assert answer.status_code == 403
            assert answer.text == (
                '{\n  "status": "This TorchServe instance only accepts HTTPS requests"\n}\n'
            )
            assert "x-request-id" not in answer.headers
    context = ssl.create_default_context(cafile=pair[0])
    assert ask(inference, context, "GET", "/ping")[0] == 200


# -- unix sockets


def test_both_apis_are_served_on_unix_sockets_and_leave_no_file_behind(serve):
    folder = Path(tempfile.mkdtemp(prefix="sock", dir="/tmp"))  # the path of a socket must be short
    try:
        paths = {name: folder / f"{name}.sock" for name in ("inference", "management")}
        server = serve(
            {"echo.mar": {"echo.py": ECHO}},
            settings={f"{name}_address": f"unix:{path}" for name, path in paths.items()},
        )
        clients = {
            name: httpx.Client(
                transport=httpx.HTTPTransport(uds=str(path)), base_url="http://here", timeout=60
            )
            for name, path in paths.items()
        }
        for path in paths.values():
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
        made = clients["management"].post("/models?url=echo.mar&initial_workers=1")
        assert made.status_code == 200, made.text
        assert clients["inference"].post("/predictions/echo", content="over").text == "over"
        for client in clients.values():
            client.close()
        assert server.stop() == 0
        assert not any(path.exists() for path in paths.values())
    finally:
        shutil.rmtree(folder)


# -- one address for both


def test_one_address_serves_everything_and_each_token_opens_its_own(serve):
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    server = serve(
        {"echo.mar": {"echo.py": ECHO}},
        settings={
            "inference_address": address,
            "management_address": address,
            "metrics_address": address,
            "disable_token_authorization": "false",
        },
    )
    keys = json.loads((server.folder / "key_file.json").read_text())

    def call(method, target, key, **more):
        headers = {"Authorization": f"Bearer {keys[key]['key']}"} if key else {}
        return httpx.request(method, address + target, headers=headers, timeout=60, **more)

    made = call("POST", "/models?url=echo.mar&initial_workers=1", "management")
    assert made.status_code == 200, made.text
    assert call("POST", "/predictions/echo", "inference", content="hi").text == "hi"
    assert call("GET", "/models", "inference").status_code == 400
    assert call("POST", "/predictions/echo", "management", content="hi").status_code == 400
    assert call("GET", "/models/echo", "API").status_code == 400
    assert call("GET", "/metrics", None).status_code == 200
    assert call("GET", "/readyz", None).status_code == 200
    described = call("OPTIONS", "/", None).json()["paths"]
    assert {"/ping", "/models", "/metrics", "/predictions/{model_name}"} <= set(described)
    renewed = call("GET", "/token?type=inference", "API")
    assert renewed.status_code == 200
    assert call("GET", "/ping", "inference").status_code == 400
    keys["inference"]["key"] = renewed.json()["key"]
    assert call("GET", "/ping", "inference").json() == {"status": "Healthy"}


# -- CORS

CORS = {
    "cors_allowed_origin": "https://app.example",
    "cors_allowed_methods": "GET, POST, PUT",
    "cors_allowed_headers": "Authorization, X-Custom",
}
PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "authorization",
}


def test_browsers_of_the_configured_origin_may_ask_and_read(serve):
    server = serve(settings=CORS | {"disable_token_authorization": "false"})
    expected = {
        "access-control-allow-origin": CORS["cors_allowed_origin"],
        "access-control-allow-methods": CORS["cors_allowed_methods"],
        "access-control-allow-headers": CORS["cors_allowed_headers"],
    }
    for target in (
        f"{server.inference}/predictions/nope",
        f"{server.management}/models/nope",
        f"{server.metrics}/metrics",
    ):
        allowed = httpx.options(target, headers=PREFLIGHT)
        assert (allowed.status_code, allowed.content) == (204, b"")
        refused = httpx.options(target, headers=PREFLIGHT | {"Origin": "https://other.example"})
        read = httpx.get(target)  # errors must be readable too
        for answer in (allowed, refused, read):
            assert expected.items() <= answer.headers.items()
    assert httpx.options(f"{server.management}/models", headers=PREFLIGHT).status_code == 204


def test_without_settings_there_are_no_such_headers_and_no_preflight(serve):
    server = serve()
    answer = httpx.options(f"{server.management}/models", headers=PREFLIGHT)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


# -- sizes and old clients


def test_a_request_over_the_limit_is_413_on_every_listener(serve):
    server = serve({"echo.mar": {"echo.py": ECHO}}, settings={"max_request_size": "2000"})
    assert server.register("echo.mar").status_code == 200

    def pieces(size):
        yield b"x" * size

    for target in (
        f"{server.inference}/predictions/echo",
        f"{server.management}/models",
        f"{server.metrics}/metrics",
    ):
        with httpx.Client() as client:
            announced = client.post(target, content=b"x" * 2001)
            chunked = client.post(target, content=pieces(2001))
            for answer in (announced, chunked):
                assert answer.status_code == 413
                assert answer.reason_phrase == "Request Entity Too Large"
            assert announced.headers.multi_items() == [("content-length", "0")]
            assert chunked.headers["connection"] == "close"
            assert client.post(target, content=b"x" * 2000).status_code != 413
            assert client.post(target, content=pieces(2000)).status_code != 413


def test_an_answer_over_the_limit_names_the_setting_and_the_worker_lives(serve):
    server = serve({"long.mar": {"long.py": LONG}}, settings={"max_response_size": "3000"})
    assert server.register("long.mar").status_code == 200
    (before,) = server.workers("long")
    assert len(server.predict("long", "3000").text) == 3000
    answer = server.predict("long", "3001")
    assert answer.status_code == 500
    assert "max_response_size" in answer.json()["message"]
    (after,) = server.workers("long")
    assert (after["pid"], after["status"]) == (before["pid"], "READY")


@pytest.mark.parametrize("asks", [False, True])
def test_the_connection_of_an_http_1_0_client_ends_unless_it_asks_to_keep_it(serve, asks):
    server = serve()
    port = int(server.inference.rpartition(":")[2])
    head = b"GET /ping HTTP/1.0\r\n" + (b"Connection: keep-alive\r\n" if asks else b"") + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(head)
        received = b""
        while b"Healthy" not in received:
            received += client.recv(4096)
        word = b"keep-alive" if asks else b"close"
        assert b"\r\nconnection: %b\r\n" % word in received
        client.settimeout(0.5)
        if asks:
            client.sendall(head)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        else:
            rest = client.recv(4096) + client.recv(4096)
            assert received.endswith(b"\n") or rest
            assert client.recv(1) == b""
