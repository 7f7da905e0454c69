"""Downloads that break off: gone on with where that is safe, given up cleanly where it is not."""

import email.utils
import hashlib
import http.server
import os
import re
import threading
import time
from dataclasses import dataclass, field

import pytest
from archive_bytes import tree

from flambeau.archive.allowed_urls import AllowedUrls
from flambeau.archive.download import Downloader
from flambeau.archive.transfer import DownloadLimits
from flambeau.errors import DownloadFailed

SIZE = 300_000
TAG = {"ETag": '"v1"'}


def dated(seconds_ago):
    return {"Last-Modified": email.utils.formatdate(time.time() - seconds_ago, usegmt=True)}


@dataclass
class Shaky:
    """A server on loopback that hangs up after so many bytes of each answer, in turn."""

    base: str = ""
    content: bytes = field(default_factory=lambda: os.urandom(SIZE))
    marks: dict[str, str] = field(default_factory=lambda: dict(TAG))
    breaks: list[int] = field(default_factory=list)
    ranges: bool = True
    chunked: bool = False
    shift: int = 0
    """Where a part begins too late, by so many bytes."""
    later: dict[str, str] | None = None
    """Marks from the second answer on."""
    obeys: bool = True
    """Compares If-Range with its marks, as it should."""
    status: list[int] = field(default_factory=list)
    """Of the second answer and those after it, until there are no more."""
    seen: list[dict[str, str]] = field(default_factory=list)


def answers(shaky):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            shaky.seen.append(dict(self.headers))
            marks = shaky.marks
            if len(shaky.seen) > 1:
                marks = shaky.later or marks
                if shaky.status:
                    self.send_response(shaky.status.pop(0))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
            start = self.start(marks)
            body = shaky.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{SIZE - 1}/{SIZE}")
            if shaky.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(len(body)))
            for name, value in marks.items():
                self.send_header(name, value)
            self.end_headers()
            whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if shaky.chunked else body
            self.wfile.write(whole[: shaky.breaks.pop(0)] if shaky.breaks else whole)
            self.close_connection = True

        def start(self, marks):
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = not shaky.obeys or self.headers.get("If-Range") in marks.values()
            return int(asked[1]) + shaky.shift if asked and shaky.ranges and same else 0

        def log_message(self, *_):
            pass

    return Handler


@pytest.fixture
def shaky():
    served = Shaky()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers(served))
    server.daemon_threads = False
    served.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def fetch(store, shaky, **limits):
    limits = DownloadLimits(**({"read_seconds": 2, "pause_seconds": 0.01} | limits))
    digest = hashlib.sha256(shaky.content).hexdigest()
    Downloader(store, AllowedUrls.parse(), limits).fetch(
        f"{shaky.base}/m.mar", store / "m.mar", digest
    )


def arrives(store, shaky, **limits):
    fetch(store, shaky, **limits)
    assert (store / "m.mar").read_bytes() == shaky.content
    assert tree(store) == ["m.mar"]


def fails(store, shaky, cause="", **limits):
    with pytest.raises(DownloadFailed) as caught:
        fetch(store, shaky, **limits)
    assert str(caught.value) == f"Failed to download archive from: {shaky.base}/m.mar{cause}"
    assert tree(store) == []


def asked(shaky):
    return [headers.get("Range") for headers in shaky.seen]


@pytest.mark.parametrize("marks", [TAG, dated(3600), TAG | dated(0)])
def test_it_goes_on_where_it_broke(store, shaky, marks, caplog):
    shaky.marks = marks
    shaky.breaks = [100_000, 50_000, 149_999]
    arrives(store, shaky)
    assert asked(shaky) == [None, "bytes=100000-", "bytes=150000-", "bytes=299999-"]
    mark = next(iter(marks.values()))
    assert {headers["If-Range"] for headers in shaky.seen[1:]} == {mark}
    assert caplog.text.count("it will go on") == 3


def test_a_body_of_unknown_length_goes_on_too(store, shaky):
    shaky.chunked = True
    shaky.breaks = [100_000]
    arrives(store, shaky)
    assert len(shaky.seen) == 2


@pytest.mark.parametrize(
    "marks",
    [
        {},
        {"ETag": 'W/"v1"'},
        dated(-7200),
        {"Last-Modified": "yesterday"},
        TAG | {"Accept-Ranges": "none"},
    ],
)
def test_it_does_not_go_on_where_a_change_would_not_be_seen(store, shaky, marks):
    shaky.marks = marks
    shaky.breaks = [100_000]
    fails(store, shaky)
    assert len(shaky.seen) == 1


def test_it_starts_over_when_the_archive_has_changed(store, shaky):
    shaky.breaks = [100_000, 200_000]
    shaky.later = {"ETag": '"v2"'}
    arrives(store, shaky)
    assert asked(shaky) == [None, "bytes=100000-", "bytes=200000-"]
    assert shaky.seen[2]["If-Range"] == '"v2"'


def test_it_starts_over_when_the_server_gives_no_parts(store, shaky):
    shaky.ranges = False
    shaky.breaks = [100_000]
    arrives(store, shaky)
    assert len(shaky.seen) == 2


def test_a_server_that_never_gives_all_is_given_up(store, shaky):
    shaky.ranges = False
    shaky.breaks = [100_000] * 50
    fails(store, shaky)
    assert len(shaky.seen) == 1 + 4


@pytest.mark.parametrize("later", [{"ETag": '"v2"'}, dated(7200)])
def test_a_part_of_another_archive_is_refused(store, shaky, later):
    if "ETag" not in later:
        shaky.marks = dated(3600)
    shaky.breaks, shaky.later, shaky.obeys = [100_000], later, False
    fails(store, shaky, ": it was changed while it was downloaded")


def test_a_part_from_another_place_is_not_used(store, shaky, caplog):
    shaky.breaks, shaky.shift = [100_000], 7
    fails(store, shaky)
    assert "it answered with other bytes" in caplog.text
    assert len(shaky.seen) == 1 + 4


def test_it_is_given_up_after_so_many_tries_without_a_byte(store, shaky):
    shaky.breaks = [100_000] + [0] * 50
    fails(store, shaky, resumes=3)
    assert asked(shaky) == [None] + ["bytes=100000-"] * 3


def test_tries_count_anew_once_bytes_have_come(store, shaky):
    shaky.breaks = [100_000, 0, 0, 1, 0, 0, 1, 0, 0]
    arrives(store, shaky, resumes=3)


def test_a_break_before_the_first_byte_is_tried_again_from_the_beginning(store, shaky):
    shaky.breaks = [0]
    arrives(store, shaky)
    assert asked(shaky) == [None, None]


def test_errors_of_the_server_in_between_are_waited_out(store, shaky):
    shaky.breaks, shaky.status = [100_000], [503, 500, 502]
    arrives(store, shaky)
    assert len(shaky.seen) == 5


@pytest.mark.parametrize("status", [404, 412, 416, 204])
def test_an_archive_that_has_gone_fails(store, shaky, status):
    shaky.breaks, shaky.status = [100_000], [status] * 9
    fails(store, shaky)


def test_the_time_for_all_of_it_counts_the_pauses(store, shaky):
    shaky.breaks = [100_000, 0, 0, 0]
    began = time.monotonic()
    fails(store, shaky, total_seconds=0.5, pause_seconds=0.3)
    assert time.monotonic() - began < 2


def test_the_limit_on_bytes_counts_all_parts(store, shaky):
    shaky.chunked = True
    shaky.breaks = [100_000]
    fails(
        store,
        shaky,
        ": it has 300000 bytes, more than the 200000 allowed",
        most_bytes=200_000,
    )
