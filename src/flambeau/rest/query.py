"""The request target taken apart: decoded path segments and query parameters.

The one place that knows how targets are read; called by ``rest.app`` for every request whose
target it has not seen before. It knows no endpoint. Rules: the path is percent-decoded before it
is split at ``/``, trailing slashes are ignored, ``+`` is a blank in a query only, the first of
equal parameters wins, and a number that is none counts as not given.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from flambeau.errors import BadRequest, UnknownPath

_MALFORMED = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_INTEGER = re.compile(r"[+-]?[0-9]+\Z", re.ASCII)
_MOST_DIGITS = 64
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
MAX_PARAMETERS = 1000


class Query:
    """The parameters behind the ``?``, in the client's order."""

    __slots__ = ("_first", "pairs")

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._first: dict[str, str] = {}
        for name, value in pairs:
            self._first.setdefault(name, value)

    def text(self, name: str) -> str | None:
        """The first value of ``name``; None when it is absent."""
        return self._first.get(name)

    def filled(self, name: str) -> str | None:
        """As ``text``, but a blank value counts as absent."""
        return self._first.get(name) or None

    def integer(self, *names: str) -> int | None:
        """The first of ``names`` that holds a signed 32-bit number; None when none does."""
        for name in names:
            number = as_integer(self._first.get(name, ""))
            if number is not None:
                return number
        return None

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True for the word ``true`` in any case, False for any other, ``default`` if absent."""
        value = self._first.get(name)
        return default if value is None else value.lower() == "true"

    def every(self, name: str) -> list[str]:
        """All values of ``name``, in order."""
        return [value for key, value in self.pairs if key == name]


def as_integer(text: str) -> int | None:
    """The signed 32-bit decimal number ``text`` spells; None for anything else."""
    if len(text) > _MOST_DIGITS or not _INTEGER.match(text):
        return None
    number = int(text)
    return number if _INT_MIN <= number <= _INT_MAX else None


def split_target(target: bytes) -> tuple[list[str], Query]:
    """Path segments (none for the root) and query of a request target.

    Raises BadRequest for malformed escapes, a fragment or a missing leading slash, UnknownPath
    for the absolute form.
    """
    if not target.startswith(b"/"):
        if b"://" in target:
            raise UnknownPath
        raise BadRequest(f"Request target must begin with '/': {_shown(target)}")
    if b"#" in target:
        raise BadRequest(f"Request target must not hold a fragment: {_shown(target)}")
    if bad := _MALFORMED.search(target):
        raise BadRequest(
            f"Malformed percent-encoding at index {bad.start()} of the request target: "
            f"{_shown(target)}"
        )
    path, _, query = target.partition(b"?")
    segments = unquote_to_bytes(path).decode("utf-8", "replace").split("/")
    while segments and not segments[-1]:
        segments.pop()
    return segments[1:], Query([(k, v.decode("utf-8", "replace")) for k, v in form_pairs(query)])


def form_pairs(raw: bytes) -> list[tuple[str, bytes]]:
    """Names and undecoded values of a query or an urlencoded form, in order.

    Raises BadRequest when there are more than ``MAX_PARAMETERS``.
    """
    if not raw:
        return []
    fields = raw.split(b"&", MAX_PARAMETERS)
    if len(fields) > MAX_PARAMETERS:
        raise BadRequest(f"More than {MAX_PARAMETERS} parameters in one request.")
    pairs = []
    for field in fields:
        if field:
            name, _, value = field.replace(b"+", b" ").partition(b"=")
            pairs.append(
                (unquote_to_bytes(name).decode("utf-8", "replace"), unquote_to_bytes(value))
            )
    return pairs


def _shown(target: bytes) -> str:
    """``target`` short enough and safe to quote in a message."""
    return ascii(target[:200].decode("latin-1"))[1:-1]
