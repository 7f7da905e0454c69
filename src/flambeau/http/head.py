"""The head of a request: request line and header fields, checked and split.

``http.reading`` calls ``parse`` with the bytes up to and including the empty line. The field
grammar is checked by llhttp (through httptools); what llhttp leaves open and framing depends on is
decided here: one blank between words, versions, Host, the body's length, keep-alive.
Nothing here knows a socket, a model or an endpoint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from flambeau.http.refusal import UNREAD, RequestLine, Why

if TYPE_CHECKING:
    from flambeau.http.limits import Limits

Headers = list[tuple[bytes, bytes]]

CHUNKED = -1
"""``Head.length`` of a body whose end is found by reading it."""

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_COMMON = frozenset((b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS"))
_VERSION = re.compile(rb"HTTP/\d\.\d")
_SERVED = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_MAX_LENGTH_DIGITS = 18


class BadMessage(Exception):  # noqa: N818 - named like the errors of flambeau.errors
    """The bytes are no request that can be served: the connection ends.

    The message is for the log. ``why`` is None when the request has its answer already.
    """

    def __init__(self, reason: str, why: Why | None = Why.MALFORMED) -> None:
        super().__init__(reason)
        self.why = why


@dataclass(slots=True, eq=False)
class Head:
    """One parsed head. Requests with the same bytes may share it: treat it as read-only.

    ``memo`` is free for the application, to keep what it worked out of this head (a route, decoded
    headers) for the next request with the same bytes. It must depend on nothing but the head.
    """

    method: bytes
    target: bytes
    http_version: str
    headers: Headers
    length: int
    """Bytes of the body, 0 for none, ``CHUNKED`` if the body tells its end itself."""
    keep_alive: bool
    """The connection may serve another request afterwards."""
    expects: bytes
    """Value of Expect, lower case; empty for none."""
    memo: Any = None


class _Fields:
    """What llhttp reports of one head. Hooks that are not needed are None: httptools skips them."""

    on_url: ClassVar[None] = None
    on_body: ClassVar[None] = None
    on_message_begin: ClassVar[None] = None
    on_message_complete: ClassVar[None] = None
    on_chunk_header: ClassVar[None] = None
    on_chunk_complete: ClassVar[None] = None

    __slots__ = ("complete", "framing", "headers")

    def __init__(self) -> None:
        self.headers: Headers = []
        self.framing: dict[bytes, list[bytes]] = {}
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        value = value.rstrip(b" \t")
        self.headers.append((name, value))
        key = name.lower()
        if key in _FRAMING:
            self.framing.setdefault(key, []).append(value)

    def on_headers_complete(self) -> None:
        self.complete = True


_FRAMING = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"))


def parse(raw: bytes, limits: Limits) -> Head:
    """The head in ``raw``, which starts with the method and ends with the empty line.

    Raises BadMessage for anything that is not strictly HTTP/1.0 or HTTP/1.1, or over the limits.
    """
    end = raw.index(b"\r\n")
    _check_size(raw, end, limits)
    method, target, version = _request_line(raw[:end])
    fields = _fields(b"GET " + raw[len(method) + 1 :])
    framing = fields.framing
    if version == "1.1" and len(framing.get(b"host", ())) != 1:
        raise BadMessage("no Host, or several", Why.NO_HOST)
    keep_alive = _keeps_alive(version, framing.get(b"connection"))
    length = _body_length(version, framing) if framing else 0
    expects = b",".join(framing[b"expect"]).lower() if b"expect" in framing else b""
    if version == "1.0":
        expects = b""
    return Head(method, target, version, fields.headers, length, keep_alive, expects)


def asked_in(start: bytes, limits: Limits) -> RequestLine:
    """The request line at the start of a refused request; ``UNREAD`` if it is none."""
    line, end, _ = start.partition(b"\r\n")
    words = line.split(b" ")
    if not end or len(line) > limits.request_line or len(words) != 3:  # noqa: PLR2004 - as below
        return UNREAD
    method, target, version = words
    if not target or not _METHOD.fullmatch(method) or not _VERSION.fullmatch(version):
        return UNREAD
    return RequestLine(method, target, version.decode().removeprefix("HTTP/"))


def _check_size(raw: bytes, end: int, limits: Limits) -> None:
    if end > limits.request_line:
        raise BadMessage(f"request line of {end} bytes")
    if len(raw) - end > limits.header_bytes:
        size = len(raw) - end - 2 * raw.count(b"\r\n")
        if size > limits.header_bytes:
            raise BadMessage(f"header lines of {size} bytes")


def _request_line(line: bytes) -> tuple[bytes, bytes, str]:
    words = line.split(b" ")
    if len(words) != 3:  # noqa: PLR2004 - method, target, version
        raise BadMessage("request line is not three words")
    method, target, version = words
    if not target or (method not in _COMMON and not _METHOD.fullmatch(method)):
        raise BadMessage("method or target is malformed")
    served = _SERVED.get(version)
    if served is None:
        if method != b"PRI" and _VERSION.fullmatch(version):
            raise BadMessage("other version", Why.OTHER_VERSION)
        raise BadMessage("no HTTP version")
    return method, target, served


def _fields(raw: bytes) -> _Fields:
    """Header fields as llhttp reads them. ``raw`` says GET, since llhttp knows only some methods."""
    fields = _Fields()
    try:
        HttpRequestParser(fields).feed_data(raw)
    except HttpParserUpgrade:
        pass  # another protocol is offered, and not taken
    except HttpParserError as error:
        raise BadMessage(str(error)) from None
    if not fields.complete:
        raise BadMessage("the head has no end")
    return fields


def _body_length(version: str, framing: dict[bytes, list[bytes]]) -> int:
    lengths = framing.get(b"content-length", [])
    codings = framing.get(b"transfer-encoding", [])
    if codings:
        if lengths or version == "1.0" or [coding.lower() for coding in codings] != [b"chunked"]:
            raise BadMessage("transfer coding other than chunked, or beside a length")
        return CHUNKED
    if not lengths:
        return 0
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > _MAX_LENGTH_DIGITS:
        raise BadMessage("content-length is no single number")
    return int(lengths[0])


def _keeps_alive(version: str, values: list[bytes] | None) -> bool:
    """Whether the connection lives on: in HTTP/1.0 only for clients that ask for it.

    Such a client may take the end of the connection for the end of the answer.
    """
    if values is None:
        return version == "1.1"
    words = {word.strip().lower() for value in values for word in value.split(b",")}
    return b"close" not in words and (version == "1.1" or b"keep-alive" in words)
