"""Archives in S3: a real server that checks signatures and rights, with encryption by KMS."""

import json
import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import boto3
import pytest
import requests
from archive_bytes import model_zip, tree

from flambeau.archive.allowed_urls import AllowedUrls
from flambeau.archive.s3 import S3Object, s3_object
from flambeau.archive.store import ModelStore
from flambeau.archive.transfer import DownloadLimits
from flambeau.errors import BadRequest, DownloadFailed, InternalError, ModelNotFound

REGION = "eu-central-1"
ALLOWED = r"s3://models/.*,http(s)?://.*"
ARCHIVE = model_zip(h__py="x", weights__bin=os.urandom(2_000_000).hex())
READ = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"],
            "Resource": [
                f"arn:aws:s3:::{name}" for name in ("models", "models/*", "none-at-all/*")
            ],
        }
    ],
}
SETTINGS = re.compile("AWS_|REQUESTS_CA_BUNDLE|.*_proxy", re.IGNORECASE)


@pytest.fixture(scope="module")
def bucket():
    """An S3 server in a process of its own, a bucket with one encrypted archive, and its keys."""
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        found = None
        while found is None:
            line = server.stderr.readline()
            assert line, "the S3 server did not start"
            found = re.search(r"Running on http://127\.0\.0\.1:(\d+)", line)
        reader = threading.Thread(target=server.stderr.read)
        reader.start()
        yield filled(int(found[1]))
        server.send_signal(signal.SIGINT)
        reader.join()


def filled(port):
    base = f"http://127.0.0.1:{port}"

    def client(service):
        return boto3.client(
            service,
            endpoint_url=base,
            region_name=REGION,
            aws_access_key_id="owner",
            aws_secret_access_key="owner",
        )

    iam, s3 = client("iam"), client("s3")
    iam.create_user(UserName="server")
    iam.put_user_policy(UserName="server", PolicyName="read", PolicyDocument=json.dumps(READ))
    keys = iam.create_access_key(UserName="server")["AccessKey"]
    kms_key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    for name in ("models", "secrets"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="models", VersioningConfiguration={"Status": "Enabled"})
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
    old = s3.put_object(Bucket="models", Key="a b/m.mar", Body=model_zip(), **encrypted)
    for name, key in (("models", "a b/m.mar"), ("models", "m.mar"), ("secrets", "m.mar")):
        s3.put_object(Bucket=name, Key=key, Body=ARCHIVE, **encrypted)
    assert s3.head_object(Bucket="models", Key="m.mar")["ServerSideEncryption"] == "aws:kms"
    # From here on only signed requests of users with the right are answered.
    requests.post(f"{base}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
    return SimpleNamespace(
        port=port,
        base=base,
        key=keys["AccessKeyId"],
        secret=keys["SecretAccessKey"],
        old_version=old["VersionId"],
    )


@pytest.fixture
def without_credentials(bucket, monkeypatch):
    """The environment of a server that knows where S3 is, and nothing else."""
    for name in [each for each in os.environ if SETTINGS.match(each)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.base)
    return monkeypatch


@pytest.fixture
def environment(without_credentials, bucket):
    """As before, with the server's credentials."""
    without_credentials.setenv("AWS_ACCESS_KEY_ID", bucket.key)
    without_credentials.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret)
    return without_credentials


@pytest.fixture
def store(tmp_path):
    return store_of(tmp_path)


def store_of(root, allowed=ALLOWED, **limits):
    (root / "store").mkdir()
    limits = DownloadLimits(**({"read_seconds": 5, "pause_seconds": 0.01} | limits))
    return ModelStore(
        root / "store", root / "temp", AllowedUrls.parse(allowed), download_limits=limits
    )


def refuses(store, url, error, words, **options):
    with pytest.raises(error) as caught:
        store.fetch(url, **options)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert tree(store.folder) == []


ANY = pytest.mark.parametrize("flag", [True, False])


@ANY
def test_an_encrypted_object_is_fetched_by_its_s3_url(store, environment, flag, caplog):
    caplog.set_level(logging.INFO)
    files = store.fetch("s3://models/a b/m.mar", s3_sse_kms=flag)
    assert files.manifest.model.model_name == "m"
    assert files.url == "s3://models/a b/m.mar"
    assert (store.folder / "m.mar").read_bytes() == ARCHIVE
    assert tree(store.folder) == ["m.mar"]
    assert "encryption=aws:kms" in caplog.text
    store.forget_download(files)
    assert tree(store.folder) == []


@pytest.mark.parametrize(
    "url",
    [
        f"https://models.s3.{REGION}.amazonaws.com/a%20b/m.mar",
        f"https://s3.{REGION}.amazonaws.com/models/a%20b/m.mar",
        "https://models.s3.amazonaws.com/m.mar",
        "{base}/models/a%20b/m.mar",
    ],
)
def test_an_encrypted_object_is_fetched_by_its_web_url(store, environment, bucket, url):
    store.fetch(url.format(base=bucket.base), s3_sse_kms=True)
    assert (store.folder / "m.mar").read_bytes() == ARCHIVE


def test_without_the_flag_a_web_url_is_read_without_credentials(store, environment, bucket):
    refuses(store, f"{bucket.base}/models/m.mar", DownloadFailed, "Failed to download archive")


def test_an_older_version_is_fetched_when_the_url_names_it(store, environment, bucket):
    store.fetch(f"s3://models/a b/m.mar?versionId={bucket.old_version}")
    assert (store.folder / "m.mar").stat().st_size < len(ARCHIVE)


def test_an_s3_url_must_be_listed_in_allowed_urls(tmp_path, environment):
    for name, allowed in (("a", "file://.*|http(s)?://.*"), ("b", "s3://other/.*")):
        (tmp_path / name).mkdir()
        store = store_of(tmp_path / name, allowed)
        refuses(store, "s3://models/m.mar", ModelNotFound, "does not match any allowed URL(s)")
    (tmp_path / "c").mkdir()
    refuses(
        store_of(tmp_path / "c"), "s3://secrets/m.mar", ModelNotFound, "does not match any allowed"
    )


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("s3://models/none.mar", "NoSuchKey"),
        ("s3://none-at-all/m.mar", "NoSuchBucket"),
        ("s3://secrets/m.mar", "AccessDenied"),
    ],
)
def test_what_s3_does_not_give_fails_with_its_reason(tmp_path, environment, url, code):
    store = store_of(tmp_path, "s3://.*")
    refuses(store, url, DownloadFailed, f"Failed to download archive from: {url}: S3 answered ")
    with pytest.raises(DownloadFailed, match=code):
        store.fetch(url)


def test_wrong_credentials_fail_with_the_reason(store, environment):
    environment.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refuses(store, "s3://models/m.mar", DownloadFailed, "S3 answered SignatureDoesNotMatch")


@pytest.mark.parametrize("url", ["s3://models/m.mar", "https://models.s3.amazonaws.com/m.mar"])
def test_no_credentials_are_said_plainly(store, without_credentials, url):
    refuses(store, url, BadRequest, "no AWS credentials were found", s3_sse_kms=True)


def test_credentials_come_from_the_standard_chain(store, without_credentials, bucket, tmp_path):
    (tmp_path / "credentials").write_text(
        f"[team]\naws_access_key_id={bucket.key}\naws_secret_access_key={bucket.secret}\n"
    )
    without_credentials.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    without_credentials.setenv("AWS_PROFILE", "team")
    assert store.fetch("s3://models/m.mar").downloaded == store.folder / "m.mar"


def test_a_profile_that_is_not_there_fails_and_the_log_says_why(store, environment, caplog):
    environment.setenv("AWS_PROFILE", "none")
    url = "s3://models/m.mar"
    refuses(store, url, DownloadFailed, f"Failed to download archive from: {url}")
    assert "The config profile (none) could not be found" in caplog.text


@ANY
def test_a_url_of_another_server_is_not_read_with_credentials(
    store, without_credentials, remote, flag
):
    if flag:
        url = f"{remote.base}/m.mar"
        refuses(store, url, BadRequest, f"{url} names no object in S3", s3_sse_kms=True)
        assert not remote.seen
    else:
        store.fetch(f"{remote.base}/m.mar")
        assert "Authorization" not in remote.headers[0]


@pytest.mark.parametrize(
    "url",
    [
        "s3://models",
        "s3:///m.mar",
        "s3://Models/m.mar",
        "s3://a/m.mar",
        "s3://user@models/m.mar",
        "s3://models:80/m.mar",
        "s3://models/m.mar#x",
        "s3://models/m.mar?X-Amz-Signature=1",
        "https://models.s3.amazonaws.com/m.mar?X-Amz-Signature=1",
        "file:///etc/hosts",
        "https://models.s3.amazonaws.com.evil.example/m.mar",
        "https://evil.example/s3.amazonaws.com/m.mar",
        "https://s3.eu-central-1.evil.amazonaws.com/models/m.mar",
        "https://models.s3.amazonaws.com:8443/m.mar",
        "https://models.s3.amazonaws.com:x/m.mar",
    ],
)
def test_what_names_no_object_is_refused(tmp_path, environment, url):
    store = store_of(tmp_path, ".*")
    with pytest.raises(BadRequest):
        store.fetch(url, s3_sse_kms=True)
    assert tree(store.folder) == []


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("s3://b-1/k/x.mar", S3Object("b-1", "k/x.mar")),
        ("S3://b.c/%20", S3Object("b.c", "%20")),
        ("https://bbb.s3.amazonaws.com/k", S3Object("bbb", "k")),
        (
            "https://b.c.s3.us-gov-west-1.amazonaws.com/k",
            S3Object("b.c", "k", None, "us-gov-west-1"),
        ),
        ("https://bbb.s3-eu-west-1.amazonaws.com/k", S3Object("bbb", "k", None, "eu-west-1")),
        (
            "https://bbb.s3.dualstack.eu-west-1.amazonaws.com/k",
            S3Object("bbb", "k", None, "eu-west-1"),
        ),
        (
            "https://bbb.s3.cn-north-1.amazonaws.com.cn/k",
            S3Object("bbb", "k", None, "cn-north-1"),
        ),
        ("https://s3.eu-west-1.amazonaws.com/bbb/k/x", S3Object("bbb", "k/x", None, "eu-west-1")),
        ("https://S3.AMAZONAWS.COM/bbb/k?versionId=v", S3Object("bbb", "k", "v")),
        ("http://minio:9000/bbb/k", S3Object("bbb", "k")),
        ("http://minio:9000/", None),
        ("http://minio:9001/bbb/k", None),
        ("http://minio:90000/bbb/k", None),
    ],
)
def test_what_a_url_names(url, found):
    if url == "http://minio:9000/":
        with pytest.raises(BadRequest):
            s3_object(url, "http://minio:9000")
    else:
        assert s3_object(url, "http://minio:9000") == found


def test_an_endpoint_below_a_path_is_understood():
    found = s3_object("http://store/s3/bbb/a%20b", "http://store/s3/")
    assert found == S3Object("bbb", "a b")


def test_the_limits_and_the_digest_hold(tmp_path, environment):
    store = store_of(tmp_path, most_bytes=1000)
    refuses(store, "s3://models/m.mar", DownloadFailed, "more than the 1000 allowed")
    (tmp_path / "b").mkdir()
    store = store_of(tmp_path / "b")
    refuses(store, "s3://models/m.mar", DownloadFailed, "its sha256 is", sha256="0" * 64)


def test_an_archive_of_the_store_is_never_replaced(store, environment):
    (store.folder / "m.mar").write_bytes(b"mine")
    with pytest.raises(InternalError, match=r"^Model file already exists m\.mar$"):
        store.fetch("s3://models/m.mar")
    assert (store.folder / "m.mar").read_bytes() == b"mine"


class Line:
    """A line to the server that breaks after so many bytes towards the client, or goes dead."""

    def __init__(self, port, breaks):
        self._server = socket.create_server(("127.0.0.1", 0))
        self._port, self._breaks = port, list(breaks)
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while True:
            near, _ = self._server.accept()
            with near:
                if not near.recv(1, socket.MSG_PEEK):
                    return
                self.connections += 1
                left = self._breaks.pop(0) if self._breaks else None
                with socket.create_connection(("127.0.0.1", self._port)) as far:
                    carry(near, far, left)

    def close(self):
        socket.create_connection(self._server.getsockname()).close()
        self._thread.join()
        self._server.close()


def carry(near, far, left):
    other = {near: far, far: near}
    while True:
        for ready in select.select([near, far], [], [])[0]:
            try:
                chunk = ready.recv(65536)
            except OSError:
                return
            if ready is far and left is not None:
                chunk, left = chunk[:left], left - len(chunk[:left])
            if not chunk:
                return
            try:
                other[ready].sendall(chunk)
            except OSError:
                return


@pytest.fixture
def line(bucket, environment):
    lines = []

    def over(*breaks):
        lines.append(Line(bucket.port, breaks))
        environment.setenv("AWS_ENDPOINT_URL_S3", lines[-1].url)
        return lines[-1]

    yield over
    for each in lines:
        each.close()


def test_a_broken_connection_is_taken_up_where_it_broke(store, line, caplog):
    over = line(500_000, 700_000)
    store.fetch("s3://models/m.mar")
    assert (store.folder / "m.mar").read_bytes() == ARCHIVE
    assert over.connections == 3
    assert caplog.text.count("it will go on") == 2


def test_an_object_that_changes_meanwhile_is_refused(store, line, bucket, environment):
    over = line(500_000)
    writer = boto3.client(
        "s3",
        endpoint_url=bucket.base,
        aws_access_key_id=bucket.key,
        aws_secret_access_key=bucket.secret,
    )
    # The key is the server's own, which may only read: the owner's rights are given back first.
    requests.post(f"{bucket.base}/moto-api/reset-auth", data=b"1000000", timeout=10)
    try:
        writer.put_object(Bucket="models", Key="changing/m.mar", Body=ARCHIVE)
        limits = DownloadLimits(pause_seconds=1.0)
        slow = ModelStore(
            store.folder, store.folder, AllowedUrls.parse(ALLOWED), download_limits=limits
        )
        failed = []

        def load():
            with pytest.raises(DownloadFailed) as caught:
                slow.fetch("s3://models/changing/m.mar")
            failed.append(str(caught.value))

        thread = threading.Thread(target=load)
        thread.start()
        while over.connections == 0:
            thread.join(0.01)
        thread.join(0.5)  # the line has broken by then, and the pause has not passed
        writer.put_object(Bucket="models", Key="changing/m.mar", Body=ARCHIVE[::-1])
        thread.join()
    finally:
        requests.post(f"{bucket.base}/moto-api/reset-auth", data=b"0", timeout=10)
    assert failed[0].endswith("it was changed while it was downloaded")
    assert tree(store.folder) == []


def test_a_server_that_is_not_there_fails_and_the_log_says_why(store, environment, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    environment.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    url = "s3://models/m.mar"
    refuses(store, url, DownloadFailed, f"Failed to download archive from: {url}")
    assert "Could not connect to the endpoint URL" in caplog.text


WITHOUT_SDK = """
import sys
sys.modules["boto3"] = None  # what an installation without the extra is to an import
from pathlib import Path
from flambeau.archive.allowed_urls import AllowedUrls
from flambeau.archive.store import ModelStore
from flambeau.errors import BadRequest
store = ModelStore(Path(sys.argv[1]), Path(sys.argv[1]), AllowedUrls.parse("s3://.*,http://.*"))
for url in ("s3://models/m.mar", "http://127.0.0.1:1/m.mar"):
    try:
        store.fetch(url, s3_sse_kms=True)
    except BadRequest as error:
        print(error)
print(sorted(each for each in sys.modules if each.startswith("boto")))
"""


def test_without_the_sdk_the_extra_is_named_and_nothing_of_it_imported(tmp_path):
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT_SDK, tmp_path], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert told[0] == told[1]
    assert "pip install 'flambeau[s3]'" in told[0]
    assert told[2] == "['boto3']"
