"""Archives by URL, through a whole server: from S3, over TLS, and what they say to handlers."""

from __future__ import annotations

import http.server
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.running import LiveServer

SHOW = """
def handle(data, context):
    return None if data is None else [repr(context.model_yaml_config)]
"""
CONFIG = "minWorkers: 1\nsince: 2026-01-31\n7: seven\n"
SHOWN = "{'minWorkers': 1, 'since': datetime.date(2026, 1, 31), 7: 'seven'}"
AWS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@pytest.fixture
def archive(pack: Callable[..., Path]) -> Path:
    return pack("show.mar", {"show.py": SHOW}, handler="show:handle", config=CONFIG)


@pytest.fixture
def s3(archive: Path) -> Iterator[str]:
    """The address of an S3 server that holds the archive, encrypted, in the bucket ``models``."""
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        base = next(found[1] for line in lines if (found := re.search(r"on (http://127\S+)", line)))
        reader = threading.Thread(target=server.stderr.read)
        reader.start()
        client = boto3.client(
            "s3",
            endpoint_url=base,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        client.create_bucket(Bucket="models")
        client.put_object(
            Bucket="models",
            Key="team/show.mar",
            Body=archive.read_bytes(),
            ServerSideEncryption="aws:kms",
        )
        yield base
        server.send_signal(signal.SIGINT)
        reader.join()


def test_an_encrypted_archive_from_s3_serves_and_goes_again(
    s3: str, serve: Callable[..., LiveServer]
) -> None:
    server = serve(
        settings={"allowed_urls": "s3://models/.*,https://models\\\\.s3\\\\..*"},
        environment=AWS | {"AWS_ENDPOINT_URL_S3": s3},
    )
    urls = ("s3://models/team/show.mar", "https://models.s3.amazonaws.com/team/show.mar")
    for url in urls:
        answer = server.register(url, s3_sse_kms="true")
        assert answer.status_code == 200, answer.text
        assert (server.store / "show.mar").is_file()
        described = server.client.get(f"{server.management}/models/show").json()
        assert described[0]["modelUrl"] == url
        assert server.predict("show").text == SHOWN
        assert server.client.delete(f"{server.management}/models/show").status_code == 200
        assert list(server.store.iterdir()) == []
    refused = server.register("s3://other/show.mar")
    assert refused.json()["type"] == "ModelNotFoundException"
    missing = server.register("s3://models/none.mar")
    assert missing.json()["type"] == "DownloadArchiveException"
    assert "NoSuchKey" in missing.json()["message"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture
def secure(archive: Path, tmp_path: Path) -> Iterator[str]:
    """An https server that serves the archive; its own certificate lies in cert.pem."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    command += " -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    handler = partial(Quiet, directory=archive.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = False
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_authorities_that_the_system_names_are_trusted(
    secure: str, tmp_path: Path, serve: Callable[..., LiveServer], variable: str
) -> None:
    environment = {"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": ""}
    server = serve(environment=environment | {variable: str(tmp_path / "cert.pem")})
    answer = server.register(f"{secure}/show.mar")
    assert answer.status_code == 200, answer.text


def test_what_a_killed_server_left_of_a_download_goes_at_the_next_start(
    serve: Callable[..., LiveServer],
) -> None:
    server = serve({".download-abc": {"show.py": SHOW}, "show.mar": {"show.py": SHOW}})
    assert [path.name for path in server.store.iterdir()] == ["show.mar"]
    assert any("download of an earlier run removed" in line for line in server.output)
