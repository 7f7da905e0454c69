"""How answers and errors are spelled on the wire: status, phrase, header block, body.

``rest.app`` and ``rest.prediction`` send everything through here. It is the only place in this
face where an error meets a status. It never touches a connection: the exchange adds
content-length and connection behind the block made here.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from os import urandom
from struct import Struct
from typing import TYPE_CHECKING, Any

import msgspec

from flambeau.control.views import plain
from flambeau.errors import (
    FlambeauError,
    InternalError,
    OutOfResources,
    PredictionFailed,
    RequestTooLarge,
)
from flambeau.rest.route import Reply, WrongMethod, header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flambeau.http.exchange import Exchange

HeaderPairs = list[tuple[str, str]]

_NO_CACHE = (
    b"Pragma: no-cache\r\n"
    b"Cache-Control: no-cache; no-store, must-revalidate, private\r\n"
    b"Expires: Thu, 01 Jan 1970 00:00:00 UTC\r\n"
)
_PROTECTED = frozenset(
    {
        "x-request-id",
        "pragma",
        "cache-control",
        "expires",
        "content-length",
        "connection",
        "transfer-encoding",
    }
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LOWEST_FINAL, _ERROR, _BEYOND = 200, 400, 600
_OWN_PHRASES = {413: "Request Entity Too Large", 414: "Request-URI Too Long"}
_CLASS_PHRASES = {2: "Success", 3: "Redirection", 4: "Client Error", 5: "Server Error"}
_POOL = 256
"""Request ids made at once."""
_DIGITS, _LENGTH = 32, 36
_GROUPS = Struct("8s 4s 4s 4s 12s" * _POOL)
_VARIANT = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)

UNEXPECTED = (
    "The server met an unexpected condition; its log has the cause under this x-request-id."
)


def _identifiers() -> Iterator[str]:
    while True:
        digits = bytearray(urandom(_DIGITS // 2 * _POOL).hex(), "ascii")
        digits[12::_DIGITS] = b"4" * _POOL
        digits[16::_DIGITS] = digits[16::_DIGITS].translate(_VARIANT)
        groups = _GROUPS.unpack(digits)
        text = b"-".join(groups).decode()
        for start in range(0, len(text), _LENGTH + 1):
            yield text[start : start + _LENGTH]


fresh_id = _identifiers().__next__
"""A new lower-case random UUID. Many are made at once, which costs far less."""


_compact = json.JSONEncoder(ensure_ascii=False).encode
_layout = msgspec.json.format


def as_json(document: Any) -> bytes:
    """``document`` in the contract's layout: two-space indent, plain Unicode, final newline.

    The standard encoder is fast only without indentation; the layout is put in around the tokens it
    wrote, which stay as they are.
    """
    value = plain(document)
    try:
        text = _layout(_compact(value), indent=2)
    except (ValueError, msgspec.DecodeError):  # infinities and lone surrogates are no JSON
        text = json.dumps(value, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "replace") + b"\n"


def reply(document: Any, status: int = 200) -> Reply:
    """A JSON answer of the server's own."""
    return Reply(as_json(document), status)


def phrase_of(status: int) -> str:
    """The standard reason phrase of ``status``; ``Server Error (513)`` where there is none."""
    if status in _OWN_PHRASES:
        return _OWN_PHRASES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"{_CLASS_PHRASES.get(status // 100, 'Unknown Status')} ({status})"


def shown_error(error: BaseException) -> FlambeauError:
    """``error`` as a client may see it: whatever is not ours becomes a plain 500."""
    if not isinstance(error, FlambeauError):
        return InternalError(UNEXPECTED)
    if not _ERROR <= error.status < _BEYOND:
        # A handler may raise PredictionException with any number at all.
        return PredictionFailed(error.message, 500)
    if error.status == RequestTooLarge.status and isinstance(error, PredictionFailed):
        # A 413 means that the request was too large, which the server alone decides.
        return PredictionFailed(error.message, OutOfResources.status)
    return error


class HeaderBlocks:
    """Makes header blocks; holds what is the same in each (CORS, cache rules)."""

    def __init__(self, cors: HeaderPairs) -> None:
        """``cors`` are the Access-Control headers every response gets, unless a handler set them."""
        self._cors = [
            (name.lower(), f"{name}: {value}\r\n".encode("latin-1")) for name, value in cors
        ]
        self._origin = dict(cors).get("Access-Control-Allow-Origin", "").encode("latin-1")
        self._tail = b"\r\n" + b"".join(line for _, line in self._cors) + _NO_CACHE

    def allows(self, exchange: Exchange) -> bool:
        """Whether ``exchange`` is a browser's preflight from the origin of the settings.

        Browsers send none of their tokens with it; the answer tells only what the settings allow.
        """
        if not self._origin or header(exchange, b"access-control-request-method") is None:
            return False
        origin = header(exchange, b"origin")
        return origin is not None and self._origin in (origin, b"*")

    def standard(self, request_id: str, content_type: str = "") -> bytes:
        """The block of an answer without headers of its own; no content type when it is empty."""
        if content_type:
            return b"content-type: %b\r\nx-request-id: %b%b" % (
                content_type.encode("latin-1"),
                request_id.encode(),
                self._tail,
            )
        return b"x-request-id: " + request_id.encode() + self._tail

    def of_handler(self, request_id: str, headers: HeaderPairs) -> bytes:
        """The block of a handler's answer.

        Protected headers are left out, and so are those with a line break or a bad name: they
        could not be sent. Of names that differ only in case the last counts.
        """
        kept: dict[str, tuple[str, str]] = {}
        for name, value in headers:
            lower = name.lower()
            if lower not in _PROTECTED and _TOKEN.match(name) and not _UNSAFE.search(value):
                kept.pop(lower, None)
                kept[lower] = (name, value)
        own = "".join(f"{name}: {value}\r\n" for name, value in kept.values())
        return own.encode("latin-1", "replace") + (
            b"x-request-id: %b\r\n%b%b"
            % (
                request_id.encode(),
                b"".join(line for name, line in self._cors if name not in kept),
                _NO_CACHE,
            )
        )

    def of_error(self, request_id: str, error: FlambeauError) -> bytes:
        """The block of an error: Retry-After and Allow where they apply."""
        extra = b""
        if error.retry_after is not None:
            extra = b"retry-after: %d\r\n" % error.retry_after
        if isinstance(error, WrongMethod):
            extra += b"allow: " + ", ".join(error.allow).encode() + b"\r\n"
        return self.standard(request_id, "application/json") + extra


def error_body(error: FlambeauError) -> bytes:
    """The JSON body of an error."""
    return as_json({"code": error.status, "type": error.type_name, "message": error.message})


def handler_status(status: int, phrase: str) -> tuple[int, str]:
    """Status and phrase a handler asked for, made fit for the wire.

    A phrase that cannot be sent is dropped. Raises InternalError for a status that ends no
    response.
    """
    if not _LOWEST_FINAL <= status < _BEYOND:
        raise InternalError(
            f"The handler set status {status}; only {_LOWEST_FINAL} to {_BEYOND - 1} can be sent."
        )
    if phrase and (_UNSAFE.search(phrase) or not _is_latin(phrase)):
        return status, ""
    return status, phrase


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
