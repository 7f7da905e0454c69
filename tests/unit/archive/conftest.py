"""Fixtures of the archive tests."""

import http.server
import threading
import urllib.parse
from dataclasses import dataclass, field

import pytest
from archive_bytes import model_zip


@pytest.fixture
def yard(tmp_path):
    """A folder for the archive and one for what is unpacked, side by side."""
    (tmp_path / "in").mkdir()
    return tmp_path


@dataclass
class Remote:
    """A real HTTP server on loopback; what it is asked for is in ``seen``."""

    base: str
    content: bytes
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


def answers(remote):  # noqa: C901 -- one method per behaviour
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            remote.seen.append(self.path)
            remote.headers.append(dict(self.headers))
            what, _, rest = self.path.lstrip("/").partition("/")
            getattr(self, f"send_{what.replace('.', '_')}", self.send_whole)(rest)

        def head(self, status, **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()

        def send_whole(self, _):
            self.head(200, Content_Length=len(remote.content))
            self.wfile.write(remote.content)

        def send_404(self, _):
            self.head(404, Content_Length=4)
            self.wfile.write(b"gone")

        def send_500(self, _):
            self.head(500, Content_Length=0)

        def send_206(self, _):
            self.head(206, Content_Length=3)
            self.wfile.write(b"abc")

        def send_to(self, rest):
            self.head(302, Location=urllib.parse.unquote(rest), Content_Length=0)

        def send_nowhere(self, _):
            self.head(302, Content_Length=0)

        def send_loop(self, rest):
            self.head(307, Location=f"/loop/{int(rest or 0) + 1}", Content_Length=0)

        def send_endlessto(self, _):
            self.head(302, Location="/m.mar", Transfer_Encoding="chunked")
            self.send_endless_body()

        def send_short(self, _):
            self.head(200, Content_Length=len(remote.content) + 10)
            self.wfile.write(remote.content)
            self.close_connection = True

        def send_chunked(self, _):
            self.head(200, Transfer_Encoding="chunked")
            for at in range(0, len(remote.content), 100):
                part = remote.content[at : at + 100]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

        def send_halfchunked(self, _):
            self.head(200, Transfer_Encoding="chunked")
            self.wfile.write(b"400\r\nabc")
            self.close_connection = True

        def send_encoded(self, _):
            self.head(200, Content_Length=len(remote.content), Content_Encoding="gzip")
            self.wfile.write(remote.content)

        def send_silent(self, _):
            self.head(200, Content_Length=10)
            self.wfile.write(b"abc")
            self.wfile.flush()
            remote.release.wait(20)
            self.close_connection = True

        def send_endless(self, _):
            self.head(200, Transfer_Encoding="chunked")
            self.send_endless_body()

        def send_trickle(self, _):
            self.head(200, Content_Length=10_000)
            try:
                while not remote.release.wait(0.02):
                    self.wfile.write(b"x")
            except OSError:
                self.close_connection = True

        def send_endless_body(self):
            try:
                while not remote.release.is_set():
                    self.wfile.write(b"3e8\r\n%s\r\n" % (b"x" * 1000))
            except OSError:
                self.close_connection = True

        def log_message(self, *_):
            pass

    return Handler


@pytest.fixture
def remote():
    served = Remote("", model_zip(h__py="x"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers(served))
    server.daemon_threads = False
    served.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield served
    served.release.set()
    server.shutdown()
    thread.join()
    server.server_close()
