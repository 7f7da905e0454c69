"""Brings a remote archive into the model store, within the rules.

Called by ``archive.store``. A download streams to a hidden quarantine file and takes its name only
when it is complete and checked; it never overwrites, and a failure leaves nothing. Redirects are
followed by hand so that each hop is checked like the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import stat
import tempfile
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import requests
import urllib3

from flambeau.archive.addresses import AddressPolicy, AddressRefused, CheckedAdapter
from flambeau.errors import DownloadFailed, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flambeau.archive.allowed_urls import AllowedUrls

log = logging.getLogger("flambeau.archive")

QUARANTINE = ".download-"
CHUNK = 1 << 20
PROGRESS_SECONDS = 5.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """How long and how large a download may be."""

    most_bytes: int = 64 << 30
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    """Longest silence of the other side."""
    total_seconds: float = 4 * 3600.0
    redirects: int = 5
    ca_bundle: str | None = None
    """File of certificate authorities; None uses the ones that come with requests."""


class Readable(Protocol):
    """Where the bytes come from: a file or the body of an answer."""

    def read(self, amount: int, /) -> bytes:
        """Up to ``amount`` bytes, none at the end."""


class Broken(Exception):  # noqa: N818 -- it reads as the sentence it is
    """The other side failed; the client reads the contract's text, the log has the cause."""


class Refused(Exception):  # noqa: N818 -- as above
    """A rule of ours, or this machine, is in the way; the client reads the cause too."""


class Downloader:
    """Fetches archives into one folder."""

    def __init__(
        self,
        folder: Path,
        allowed_urls: AllowedUrls,
        policy: AddressPolicy,
        limits: DownloadLimits,
    ) -> None:
        self._folder = folder
        self._allowed_urls = allowed_urls
        self._policy = policy
        self._limits = limits

    def fetch(self, url: str, target: Path, sha256: str | None = None) -> None:
        """Bring ``url`` to ``target``. ``sha256`` is the digest it must have, in hex.

        Raises DownloadFailed; InternalError when ``target`` exists.
        """
        if os.path.lexists(target):
            raise already_there(target)
        shown = without_secrets(url)
        failed = f"Failed to download archive from: {url}"
        log.info("download starts url=%s file=%s", shown, target.name)
        try:
            with self._quarantine() as file:
                digest = self._copy(url, file)
                _compare(digest, sha256)
                _save(b"", file, last=True)
                _settle(Path(file.name), target)
        except (Refused, AddressRefused) as error:
            log.warning("download refused url=%s cause=%s", shown, error)
            raise DownloadFailed(f"{failed}: {error}") from error
        except (Broken, *FAILURES) as error:
            log.warning("download failed url=%s cause=%s", shown, error)
            raise DownloadFailed(failed) from error
        log.info("download complete url=%s file=%s sha256=%s", shown, target.name, digest)

    def _copy(self, url: str, file: IO[bytes]) -> str:
        if urlsplit(url).scheme.lower() == "file":
            with _open_local(url) as source:
                return self._stream(source, os.fstat(source.fileno()).st_size, file)
        # No session: it would use proxies, which connect where the policy cannot see, and read the
        # bodies of redirects without a limit.
        with (
            closing(CheckedAdapter(self._policy)) as adapter,
            closing(self._request(adapter, url)) as reply,
        ):
            length = reply.headers.get("Content-Length", "")
            size = int(length) if length.isdecimal() else None
            return self._stream(reply.raw, size, file)

    def _request(self, adapter: CheckedAdapter, url: str) -> requests.Response:
        """The answer at the end of the redirects."""
        limits = self._limits
        headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "flambeau"}
        for _ in range(limits.redirects + 1):
            reply = adapter.send(
                requests.Request("GET", url, headers=headers).prepare(),
                stream=True,
                timeout=(limits.connect_seconds, limits.read_seconds),
                verify=limits.ca_bundle or True,
            )
            if reply.status_code not in REDIRECTS:
                break
            reply.close()
            url = self._redirected(url, reply.headers.get("Location", ""))
        else:
            raise Refused(f"it was redirected more than {limits.redirects} times")
        if reply.status_code != requests.codes.ok:
            reply.close()
            raise Broken(f"the answer was {reply.status_code} {reply.reason}")
        return reply

    def _redirected(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        shown = without_secrets(target)
        scheme = urlsplit(target).scheme.lower()
        if scheme not in {"http", "https"}:
            raise Refused(f"it was redirected to {shown}, which is no http or https URL")
        if scheme == "http" and urlsplit(url).scheme.lower() == "https":
            raise Refused(f"it was redirected to {shown}, which gives up encryption")
        if not self._allowed_urls.allows(target):
            raise Refused(f"it was redirected to {shown}, which does not match any allowed URL(s)")
        return target

    def _stream(self, source: Readable, size: int | None, file: IO[bytes]) -> str:
        """Copy to the end, within the limits; the sha256 of what was copied, in hex."""
        most = self._limits.most_bytes
        if size is not None and size > most:
            raise Refused(f"it has {size} bytes, more than the {most} allowed")
        free = shutil.disk_usage(self._folder).free
        if size is not None and size > free:
            raise Refused(f"it has {size} bytes, the model store has room for {free}")
        digest, copied = hashlib.sha256(), 0
        started = reported = time.monotonic()
        while chunk := source.read(CHUNK):
            copied += len(chunk)
            if copied > most:
                raise Refused(f"it has more than the {most} bytes allowed")
            digest.update(chunk)
            _save(chunk, file)
            now = time.monotonic()
            if now - started > self._limits.total_seconds:
                raise Broken(f"it was not complete after {self._limits.total_seconds:g} s")
            if now - reported > PROGRESS_SECONDS:
                reported = now
                log.info("download goes on bytes=%d of=%s", copied, size or "unknown")
        if size is not None and copied != size:
            raise Broken(f"it ended after {copied} of {size} bytes")
        return digest.hexdigest()

    @contextmanager
    def _quarantine(self) -> Iterator[IO[bytes]]:
        try:
            file = tempfile.NamedTemporaryFile(  # noqa: SIM115 -- closed below
                prefix=QUARANTINE, dir=self._folder, delete=False
            )
        except OSError as error:
            raise Refused(f"the model store cannot be written to ({error.strerror})") from error
        try:
            with file:
                fcntl.flock(file, fcntl.LOCK_EX)  # a live download, for sweep()
                os.fchmod(file.fileno(), 0o644)
                yield file
        finally:
            Path(file.name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what downloads of a server that was killed left in the folder."""
        for path in self._folder.glob(f"{QUARANTINE}*"):
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
            except OSError:
                continue  # another server is at it, or it is not ours to remove
            log.info("download of an earlier run removed file=%s", path.name)


def already_there(target: Path) -> InternalError:
    """The error for a download whose file name is taken."""
    return InternalError(f"Model file already exists {target.name}")


def without_secrets(url: str) -> str:
    """A URL for the log: without user, password, query (signatures stand there) and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _compare(digest: str, wanted: str | None) -> None:
    if wanted is not None and digest != wanted.lower():
        raise Refused(f"its sha256 is {digest}, not {wanted.lower()}")


def _save(chunk: bytes, file: IO[bytes], *, last: bool = False) -> None:
    try:
        file.write(chunk)
        if last:
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Refused(f"the model store cannot be written to ({error.strerror})") from error


def _settle(part: Path, target: Path) -> None:
    """Give a complete file its name. Claiming the name first makes sure nothing is replaced."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise already_there(target) from None
    part.replace(target)


def _open_local(url: str) -> IO[bytes]:
    parts = urlsplit(url)
    if parts.netloc.lower() not in {"", "localhost"}:
        raise Refused(f"a file URL names no host, this one names {parts.netloc}")
    # Without O_NONBLOCK, opening a named pipe would wait for its writer.
    file = os.fdopen(os.open(unquote(parts.path), os.O_RDONLY | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Broken("it is not a regular file")
    return file
