"""Downloads over TLS: certificates are checked, on the checked connection as well."""

import http.server
import ssl
import subprocess
import threading

import pytest
from archive_bytes import tree

from flambeau.archive.allowed_urls import AllowedUrls
from flambeau.archive.download import Downloader
from flambeau.archive.transfer import DownloadLimits
from flambeau.errors import DownloadFailed


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost and its key, made by openssl."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    subprocess.run(
        [
            *command.split(),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def secure(certificate, tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served/m.mar").write_bytes(b"bytes")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=tmp_path / "served")

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """A client that does not trust us hangs up; that is no news."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(folder, url, ca_bundle):
    limits = DownloadLimits(read_seconds=5, ca_bundle=ca_bundle and str(ca_bundle))
    store = folder / "store"
    store.mkdir()
    Downloader(store, AllowedUrls.parse(), limits).fetch(url, store / "m.mar")


def test_a_trusted_server_is_read(tmp_path, secure, certificate):
    fetch(tmp_path, f"https://localhost:{secure}/m.mar", certificate / "cert.pem")
    assert (tmp_path / "store/m.mar").read_bytes() == b"bytes"


@pytest.mark.parametrize(
    "case",
    [("localhost", False, "self-signed certificate"), ("127.0.0.1", True, "IP address mismatch")],
)
def test_a_server_that_cannot_prove_its_name_is_not(tmp_path, secure, certificate, caplog, case):
    host, trusted, cause = case
    url = f"https://{host}:{secure}/m.mar"
    with pytest.raises(DownloadFailed, match=f"^Failed to download archive from: {url}$"):
        fetch(tmp_path, url, certificate / "cert.pem" if trusted else None)
    assert cause in caplog.text
    assert tree(tmp_path / "store") == []
