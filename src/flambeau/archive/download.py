"""Brings a remote archive into the model store.

Called by ``archive.store``. Chooses the source, lets ``archive.transfer`` copy it to a hidden file
and gives that its name when it is complete and checked. It never overwrites, and a failure leaves
nothing.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from flambeau.archive import quarantine
from flambeau.archive.addresses import AddressRefused
from flambeau.archive.s3 import S3Source
from flambeau.archive.transfer import Body, Broken, DownloadRefused, Transfer, failures
from flambeau.archive.web import WebSource, without_secrets
from flambeau.errors import DownloadFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flambeau.archive.allowed_urls import AllowedUrls
    from flambeau.archive.transfer import DownloadLimits, Source

log = logging.getLogger("flambeau.archive")


class Downloader:
    """Fetches into one folder, by one set of rules."""

    def __init__(self, folder: Path, allowed_urls: AllowedUrls, limits: DownloadLimits) -> None:
        self._folder = folder
        self._allowed_urls = allowed_urls
        self._limits = limits

    def fetch(
        self, url: str, target: Path, sha256: str | None = None, *, s3_sse_kms: bool = False
    ) -> None:
        """Bring ``url`` to ``target``. ``sha256`` is the digest it must have, in hex.

        ``s3_sse_kms`` reads an https URL of S3 with the server's own AWS credentials. Raises
        DownloadFailed; BadRequest when that is impossible; InternalError when ``target`` exists.
        """
        if os.path.lexists(target):
            raise quarantine.already_there(target)
        shown = without_secrets(url)
        failed = f"Failed to download archive from: {url}"
        log.info("download starts url=%s file=%s", shown, target.name)
        try:
            source = self._source(url, s3_sse_kms=s3_sse_kms)
            with quarantine.quarantine(self._folder) as file:
                room = shutil.disk_usage(self._folder).free
                digest = Transfer(source, file, room, self._limits).run()
                _compare(digest, sha256)
                quarantine.move_in(Path(file.name), target)
        except (DownloadRefused, AddressRefused) as error:
            log.warning("download refused url=%s cause=%s", shown, error)
            raise DownloadFailed(f"{failed}: {error}") from error
        except failures() as error:
            log.warning("download failed url=%s cause=%s", shown, error)
            raise DownloadFailed(failed) from error
        log.info("download complete url=%s file=%s sha256=%s", shown, target.name, digest)

    def _source(self, url: str, *, s3_sse_kms: bool) -> Source:
        scheme = urlsplit(url).scheme.lower()
        if scheme == "s3" or s3_sse_kms:
            return S3Source(url, self._limits)
        if scheme == "file":
            return LocalSource(url)
        return WebSource(url, self._allowed_urls, self._limits)


def _compare(digest: str, wanted: str | None) -> None:
    if wanted is not None and digest != wanted.lower():
        raise DownloadRefused(f"its sha256 is {digest}, not {wanted.lower()}")


class LocalSource:
    """The archive at a file URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def open(self, start: int, mark: str) -> Iterator[Body]:  # noqa: ARG002 -- a disk does not break off
        """See ``transfer.Source``."""
        with _open_local(self._url) as file:
            yield Body(file, 0, os.fstat(file.fileno()).st_size)


def _open_local(url: str) -> IO[bytes]:
    parts = urlsplit(url)
    if parts.netloc.lower() not in {"", "localhost"}:
        raise DownloadRefused(f"a file URL names no host, this one names {parts.netloc}")
    # Without O_NONBLOCK, opening a named pipe would wait for its writer.
    file = os.fdopen(os.open(unquote(parts.path), os.O_RDONLY | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Broken("it is not a regular file")
    return file
