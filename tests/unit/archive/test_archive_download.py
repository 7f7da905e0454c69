"""Downloads: real bytes over loopback, and every way they can go wrong."""

import gzip
import hashlib
import logging
import os
import socket
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest
from archive_bytes import tree

from flambeau.archive import quarantine
from flambeau.archive.allowed_urls import AllowedUrls
from flambeau.archive.download import Downloader
from flambeau.archive.transfer import DownloadLimits
from flambeau.archive.web import without_secrets
from flambeau.errors import DownloadFailed, InternalError

FAST = DownloadLimits(connect_seconds=2, read_seconds=0.3)


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def downloader(store, limits=FAST):
    return Downloader(store, AllowedUrls.parse(), limits)


def fails(store, url, cause=None, log=None, **options):
    """Assert that ``url`` fails, plainly or with a cause for the client, and leaves nothing."""
    before = tree(store)
    with pytest.raises(DownloadFailed) as caught:
        downloader(store, **options).fetch(url, store / "m.mar")
    text = f"Failed to download archive from: {url}"
    if cause is None:
        assert str(caught.value) == text
    else:
        assert str(caught.value).startswith(f"{text}: ")
        assert cause in str(caught.value)
    if log is not None:
        caplog, words = log
        assert words in caplog.text
    assert tree(store) == before


@pytest.mark.parametrize("path", ["m.mar", "chunked/m.mar", "m.mar?sig=abc&x=1"])
def test_an_archive_arrives_whole(store, remote, path):
    remote.content = os.urandom(3_000_000)
    downloader(store).fetch(f"{remote.base}/{path}", store / "m.mar")
    assert (store / "m.mar").read_bytes() == remote.content
    assert tree(store) == ["m.mar"]
    assert (store / "m.mar").stat().st_mode & 0o777 == 0o644


def test_an_encoded_body_is_stored_as_it_came(store, remote):
    remote.content = gzip.compress(b"tar")
    downloader(store).fetch(f"{remote.base}/encoded/m.tar.gz", store / "m.tar.gz")
    assert (store / "m.tar.gz").read_bytes() == remote.content
    assert remote.headers[0]["Accept-Encoding"] == "identity"


def test_a_file_url_is_copied(store, tmp_path):
    source = tmp_path / "a b.mar"
    source.write_bytes(b"bytes")
    downloader(store).fetch(f"file://{quote(str(source))}", store / "m.mar")
    downloader(store).fetch(f"file://localhost{quote(str(source))}", store / "n.mar")
    assert (store / "m.mar").read_bytes() == (store / "n.mar").read_bytes() == b"bytes"


@pytest.mark.parametrize("url", ["file:///not/there.mar", "file:///", "file:///dev/null"])
def test_a_file_url_that_names_no_file_fails(store, url):
    fails(store, url)


def test_a_named_pipe_does_not_hold_the_server_up(store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    fails(store, f"file://{tmp_path}/pipe")


def test_a_file_url_of_another_host_is_refused(store):
    fails(store, "file://host/x.mar", cause="names host")


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("404/m.mar", "the answer was 404"),
        ("500/m.mar", "the answer was 500"),
        ("206/m.mar", "the answer was 206"),
        ("short/m.mar", "IncompleteRead"),
        ("halfchunked/m.mar", "."),
        ("silent/m.mar", "timed out"),
    ],
)
def test_a_failing_server_gives_the_plain_text_and_the_log_the_cause(
    store, remote, caplog, path, cause
):
    fails(store, f"{remote.base}/{path}", log=(caplog, cause))


def test_a_closed_port_fails(store):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    fails(store, f"http://127.0.0.1:{port}/m.mar")
    fails(store, f"https://127.0.0.1:{port}/m.mar")


def test_plain_http_behind_an_https_url_fails(store, remote):
    fails(store, remote.base.replace("http:", "https:") + "/m.mar")


@pytest.mark.parametrize(
    "url",
    [
        "http://no-such-host.invalid/m.mar",
        "http:///m.mar",
        "http://[::1/m.mar",
        "http://127.0.0.1:99999/m.mar",
        "http://127.0.0.1:x/m.mar",
        f"http://{'a' * 70}.invalid/m.mar",
        "http://ex\u0080ample..invalid/m.mar",
    ],
)
def test_an_impossible_url_fails(store, url):
    fails(store, url)


def test_proxies_of_the_environment_are_not_used(store, remote, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    downloader(store).fetch(f"{remote.base}/m.mar", store / "m.mar")
    assert remote.seen == ["/m.mar"]


def test_a_body_announced_as_too_large_is_refused_at_once(store, remote):
    limits = DownloadLimits(most_bytes=10)
    fails(store, f"{remote.base}/m.mar", cause="more than the 10 allowed", limits=limits)


def test_a_body_that_grows_too_large_is_cut_off(store, remote):
    limits = DownloadLimits(most_bytes=5_000_000)
    fails(store, f"{remote.base}/endless/m.mar", cause="5000000 bytes allowed", limits=limits)


def test_a_download_that_takes_too_long_in_all_is_cut_off(store, remote, caplog):
    limits = DownloadLimits(total_seconds=0.2)
    fails(store, f"{remote.base}/endless/m.mar", log=(caplog, "not complete after"), limits=limits)


def test_the_digest_is_compared_in_any_case(store, remote):
    digest = hashlib.sha256(remote.content).hexdigest()
    downloader(store).fetch(f"{remote.base}/m.mar", store / "m.mar", digest.upper())
    assert tree(store) == ["m.mar"]


def test_a_wrong_digest_is_refused(store, remote):
    with pytest.raises(DownloadFailed, match=r"its sha256 is [0-9a-f]{64}, not 0{64}"):
        downloader(store).fetch(f"{remote.base}/m.mar", store / "m.mar", "0" * 64)
    assert tree(store) == []


def test_a_file_that_exists_is_never_replaced(store, remote):
    (store / "m.mar").write_text("mine")
    with pytest.raises(InternalError, match=r"^Model file already exists m\.mar$"):
        downloader(store).fetch(f"{remote.base}/m.mar", store / "m.mar")
    assert (store / "m.mar").read_text() == "mine"
    assert not remote.seen


def test_a_file_that_appears_during_the_download_is_not_replaced(store, remote):
    failures = []

    def load():
        try:
            downloader(store, limits=DownloadLimits(read_seconds=10)).fetch(
                f"{remote.base}/m.mar", store / "m.mar"
            )
        except InternalError as error:
            failures.append(str(error))

    loads = [threading.Thread(target=load) for _ in range(6)]
    for thread in loads:
        thread.start()
    for thread in loads:
        thread.join()
    assert failures == ["Model file already exists m.mar"] * 5
    assert (store / "m.mar").read_bytes() == remote.content
    assert tree(store) == ["m.mar"]


def test_a_body_that_trickles_cannot_outlast_its_time(store, remote, caplog):
    limits = DownloadLimits(total_seconds=0.3, read_seconds=5)
    fails(store, f"{remote.base}/trickle/m.mar", log=(caplog, "not complete after"), limits=limits)


def test_a_store_that_is_not_there_is_said_to_the_client(tmp_path, remote):
    with pytest.raises(DownloadFailed, match="the model store cannot be written to"):
        downloader(tmp_path / "absent").fetch(f"{remote.base}/m.mar", tmp_path / "absent/m.mar")


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "wb")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_sweeping_removes_what_a_killed_server_left_and_nothing_else(store):
    (store / ".download-old").write_text("half")
    (store / "m.mar").write_text("mine")
    running = store / ".download-live"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(running)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        quarantine.sweep(store)
        assert tree(store) == [".download-live", "m.mar"]
        other.stdin.close()
    quarantine.sweep(store)
    assert tree(store) == ["m.mar"]


def test_secrets_of_a_url_stay_out_of_the_log(store, remote, caplog):
    caplog.set_level(logging.INFO)
    url = remote.base.replace("//", "//user:pass@") + "/m.mar?signature=topsecret"
    downloader(store).fetch(url, store / "m.mar")
    assert "/m.mar" in caplog.text
    ours = "".join(r.getMessage() for r in caplog.records if r.name.startswith("flambeau"))
    assert "pass" not in ours
    assert "topsecret" not in ours
    assert without_secrets("http://[bad") == "(not a URL)"
