"""An archive behind an http or https URL, read by the rules.

A source for ``archive.transfer``. Redirects are followed by hand so that each hop is held to
``allowed_urls`` and to the addresses it may lead to, like the first; credentials and cookies are
neither kept nor sent on.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests

from flambeau.archive.addresses import AddressPolicy, CheckedAdapter, names_this_machine
from flambeau.archive.transfer import Body, Broken, DownloadRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from flambeau.archive.allowed_urls import AllowedUrls
    from flambeau.archive.transfer import DownloadLimits

REDIRECTS = frozenset({301, 302, 303, 307, 308})
CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)")
SETTLED = timedelta(seconds=60)
"""A file this much older than the answer will not change again within the second of its date."""


class WebSource:
    """The archive at one URL, wherever it redirects to."""

    def __init__(self, url: str, allowed_urls: AllowedUrls, limits: DownloadLimits) -> None:
        self._url = url
        self._allowed_urls = allowed_urls
        self._limits = limits

    @contextmanager
    def open(self, start: int, mark: str) -> Iterator[Body]:
        """See ``transfer.Source``. Raises AddressRefused too."""
        url, home, limits = self._url, True, self._limits
        headers = {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "flambeau"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": mark}
        with ExitStack() as opened:
            for _ in range(limits.redirects + 1):
                reply = self._ask(url, headers, opened, home=home)
                if reply.status_code not in REDIRECTS:
                    break
                home = home and names_this_machine(url)
                url = self._redirected(url, reply.headers.get("Location", ""))
            else:
                raise DownloadRefused(f"it was redirected more than {limits.redirects} times")
            yield _body(reply, start, mark)

    def _ask(
        self, url: str, headers: dict[str, str], opened: ExitStack, *, home: bool
    ) -> requests.Response:
        """The answer of one hop. ``home``: only this machine has sent us there, if anyone has."""
        listed = self._allowed_urls.lists(url)
        policy = AddressPolicy(
            loopback=names_this_machine(url) and (listed or home), private=listed
        )
        # No session: it would use proxies, which connect where the policy cannot see, and read the
        # bodies of redirects without a limit.
        adapter = opened.enter_context(closing(CheckedAdapter(policy)))
        reply = adapter.send(
            requests.Request("GET", url, headers=headers).prepare(),
            stream=True,
            timeout=(self._limits.connect_seconds, self._limits.read_seconds),
            verify=self._limits.ca_bundle or True,
        )
        return opened.enter_context(closing(reply))

    def _redirected(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        shown = without_secrets(target)
        scheme = urlsplit(target).scheme.lower()
        if scheme not in {"http", "https"}:
            raise DownloadRefused(f"it was redirected to {shown}, which is no http or https URL")
        if scheme == "http" and urlsplit(url).scheme.lower() == "https":
            raise DownloadRefused(f"it was redirected to {shown}, which gives up encryption")
        if not self._allowed_urls.allows(target):
            raise DownloadRefused(
                f"it was redirected to {shown}, which does not match any allowed URL(s)"
            )
        return target


class _Pieces:
    """The body of an answer, piece by piece as it comes: a slow one cannot outlast its limit."""

    def __init__(self, raw: urllib3.HTTPResponse) -> None:
        self._raw = raw

    def read(self, amount: int, /) -> bytes:
        """The next bytes, none at the end."""
        return self._raw.read1(amount)


def _body(reply: requests.Response, start: int, mark: str) -> Body:
    """What ``reply`` holds. Raises Broken when that is no archive, DownloadRefused when it is another."""
    stream = _Pieces(reply.raw)
    if reply.status_code == requests.codes.ok:
        length = reply.headers.get("Content-Length", "")
        size = int(length) if length.isascii() and length.isdecimal() else None
        return Body(stream, 0, size, _mark(reply))
    if start and reply.status_code == requests.codes.partial_content:
        place = CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", ""))
        if place is None:
            raise Broken("the answer does not say which part of the archive it holds")
        if reply.headers.get("ETag" if mark.startswith('"') else "Last-Modified", mark) != mark:
            raise DownloadRefused("it was changed while it was downloaded")
        return Body(stream, int(place[1]), None if place[2] == "*" else int(place[2]))
    raise Broken(f"the answer was {reply.status_code} {reply.reason}")


def _mark(reply: requests.Response) -> str:
    """What to compare by when going on; empty where nothing is sure to change with the archive."""
    headers = reply.headers
    if headers.get("Accept-Ranges", "bytes").lower() != "bytes":
        return ""
    tag = headers.get("ETag", "")
    if tag.startswith('"'):
        return tag
    changed = headers.get("Last-Modified", "")
    try:
        old = parsedate_to_datetime(headers["Date"]) - parsedate_to_datetime(changed) > SETTLED
    except (KeyError, ValueError, TypeError):
        return ""
    return changed if old else ""


def without_secrets(url: str) -> str:
    """A URL for the log: without user, password, query (signatures stand there) and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not a URL)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
