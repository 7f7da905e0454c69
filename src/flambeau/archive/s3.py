"""An archive in S3, read with the AWS SDK and the credentials of its standard chain.

A source for ``archive.transfer``. Objects encrypted with SSE-KMS come decrypted, as S3 does that
for whoever may use the key. The SDK is an extra, imported when the first such URL is asked for.
Where it connects to is the operator's choice (region, endpoint, proxy), never that of a URL.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from flambeau.archive.transfer import Body, Broken, DownloadRefused
from flambeau.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flambeau.archive.transfer import DownloadLimits, Readable

log = logging.getLogger("flambeau.archive")

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
HOST = re.compile(
    rf"(?:(?P<bucket>{BUCKET.pattern})\.)?s3(?:[.-](?:dualstack\.)?(?P<region>[a-z]{{2}}(?:-[a-z]+)+-\d))?"
    r"\.amazonaws\.com(?:\.cn)?"
)
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
CHANGED = frozenset({"PreconditionFailed", "InvalidRange"})
NO_SDK = "archives in S3 need the AWS SDK, which is an extra: pip install 'flambeau[s3]'"
CLIENT_FAULT = range(400, 500)


@dataclass(frozen=True, slots=True)
class S3Object:
    """What a URL names in S3."""

    bucket: str
    key: str
    version: str | None = None
    region: str | None = None
    """As the URL says; None leaves it to the SDK's settings."""

    @property
    def request(self) -> dict[str, str]:
        """The parameters of a GetObject call."""
        named = {"Bucket": self.bucket, "Key": self.key}
        return named | ({"VersionId": self.version} if self.version else {})


class S3Source:
    """The object one URL names."""

    def __init__(self, url: str, limits: DownloadLimits) -> None:
        """Raises BadRequest for a URL that is not one of S3, or without SDK."""
        found = s3_object(url)
        self._client = _client(found.region if found else None, limits)
        found = found or s3_object(url, self._client.meta.endpoint_url)
        if found is None:
            raise BadRequest(
                f"{url} names no object in S3: write s3://bucket/key or "
                "https://bucket.s3.region.amazonaws.com/key, or register it without s3_sse_kms"
            )
        self._object = found

    @contextmanager
    def open(self, start: int, mark: str) -> Iterator[Body]:
        """See ``transfer.Source``. Raises BadRequest when there are no credentials."""
        asked = self._object.request
        if start:
            asked |= {"Range": f"bytes={start}-", "IfMatch": mark}
        with _translated():
            answer = self._client.get_object(**asked)
        place = CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
        first, size = (int(place[1]), int(place[2])) if place else (0, answer["ContentLength"])
        if not start:
            encryption = answer.get("ServerSideEncryption", "none")
            log.info("object found bucket=%s encryption=%s", self._object.bucket, encryption)
        with closing(answer["Body"]) as body:
            yield Body(_Pieces(body), first, size, answer["ETag"])


class _Pieces:
    """The body of an object, its errors in the words of ``archive.transfer``."""

    def __init__(self, body: Readable) -> None:
        self._body = body

    def read(self, amount: int, /) -> bytes:
        """The next bytes, none at the end."""
        with _translated():
            return self._body.read(amount)


def s3_object(url: str, endpoint: str = "") -> S3Object | None:
    """What ``url`` names; None if it does not lead to S3, or below ``endpoint``.

    Raises BadRequest for an S3 URL that names no object.
    """
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme.lower() == "s3":
        bucket, key, region = parts.netloc, parts.path[1:], None
    elif (place := HOST.fullmatch(host)) and port in {None, 80, 443}:
        bucket, key, region = place["bucket"] or "", unquote(parts.path[1:]), place["region"]
        if not bucket:
            bucket, _, key = key.partition("/")
    elif endpoint and url.startswith(endpoint.rstrip("/") + "/"):
        path = unquote(parts.path.removeprefix(urlsplit(endpoint).path.rstrip("/")))
        bucket, _, key = path[1:].partition("/")
        region = None
    else:
        return None
    if not BUCKET.fullmatch(bucket) or not key or parts.fragment:
        raise BadRequest(f"{url} names no object in S3: write s3://bucket/key")
    return S3Object(bucket, key, _version(url, parts.query), region)


def _version(url: str, query: str) -> str | None:
    named = parse_qs(query, keep_blank_values=True)
    version = named.pop("versionId", [""])[0]
    if named:
        raise BadRequest(
            f"{url} has parameters beside versionId; register a presigned URL without s3_sse_kms"
        )
    return version or None


def _client(region: str | None, limits: DownloadLimits) -> Any:
    """An S3 client. Raises BadRequest without SDK, Broken when its settings are at odds."""
    try:
        from boto3.session import Session  # noqa: PLC0415 -- an extra, and slow to import
        from botocore.config import Config  # noqa: PLC0415
    except ImportError:
        raise BadRequest(NO_SDK) from None
    config = Config(
        connect_timeout=limits.connect_seconds,
        read_timeout=limits.read_seconds,
        retries={"mode": "standard", "total_max_attempts": 3},
        user_agent_extra="flambeau",
    )
    # The SDK has a variable of its own for this, which then counts.
    trusted = None if os.environ.get("AWS_CA_BUNDLE") else limits.ca_bundle
    with _translated():
        return Session().client("s3", region_name=region, verify=trusted, config=config)


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the SDK as ours."""
    from botocore import exceptions as sdk  # noqa: PLC0415 -- see _client

    try:
        yield
    except sdk.ClientError as error:
        raise _answered(error.response) from error
    except (sdk.NoCredentialsError, sdk.PartialCredentialsError) as error:
        raise BadRequest(
            "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for "
            "the server, or give its machine a role"
        ) from error
    except (sdk.FlexibleChecksumError, sdk.ParamValidationError) as error:
        raise DownloadRefused(" ".join(str(error).split())) from error
    except sdk.BotoCoreError as error:
        raise Broken(str(error)) from error


def _answered(response: dict[str, Any]) -> DownloadRefused | Broken:
    """The error for an answer that is no object."""
    code = response["Error"].get("Code", "")
    said = response["Error"].get("Message", "")
    if code in CHANGED:
        return DownloadRefused("it was changed while it was downloaded")
    if response["ResponseMetadata"]["HTTPStatusCode"] in CLIENT_FAULT:
        return DownloadRefused(f"S3 answered {code}: {said}")
    return Broken(f"S3 answered {code}: {said}")
