"""A request body as job inputs: raw, multipart or urlencoded.

Called by ``rest.app`` for every inference request. It only takes bodies apart; what an input's
bytes mean (JSON, text, bytes) is decided in the worker, by the content type given here. Where an
input is named twice the worker lets the later one win, so order is kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from flambeau.errors import BadRequest
from flambeau.jobs.job import Part
from flambeau.rest.query import MAX_PARAMETERS, form_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from python_multipart.multipart import MultipartCallbacks

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_UNNAMED_FILE_TYPE = "application/octet-stream"


def media_type(content_type: str) -> str:
    """The content type without its parameters, in the client's spelling."""
    return content_type.partition(";")[0].strip()


def parts_of(content_type: bytes, body: list[bytes]) -> list[Part]:
    """The named inputs in ``body``; one called ``body`` unless the type is one of the two forms.

    A broken multipart body gives no inputs at all, as it always has. Raises BadRequest when a
    form has too many fields.
    """
    kind, form = kind_of(content_type)
    if form == _FORM:
        return [Part(name, "", [value]) for name, value in form_pairs(b"".join(body))]
    if form == _MULTIPART:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if boundary:
            return _multipart(boundary, body)
    return [Part("body", kind, body)]


@lru_cache(maxsize=256)
def kind_of(content_type: bytes) -> tuple[str, str]:
    """The media type in the client's spelling, and which of the two forms it is, if either."""
    kind = media_type(content_type.decode("latin-1"))
    lower = kind.lower()
    return kind, lower if lower in (_FORM, _MULTIPART) else ""


def text_of(part: Part) -> str:
    """The value of a form field as text."""
    return b"".join(part.chunks).decode("utf-8", "replace")


def _multipart(boundary: bytes, body: Iterable[bytes]) -> list[Part]:
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())
        for piece in body:
            parser.write(piece)
        parser.finalize()
    except FormParserError:
        return []
    return form.parts


class _Form:
    """Collects the parts of one multipart body while the parser reads it."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._chunks: list[bytes] = []

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls, by the parser's names."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._chunk,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= MAX_PARAMETERS:
            raise BadRequest(f"More than {MAX_PARAMETERS} parts in one form.")
        self._headers = {}
        self._chunks = []

    def _header_field(self, piece: bytes, start: int, end: int) -> None:
        self._name += piece[start:end]

    def _header_value(self, piece: bytes, start: int, end: int) -> None:
        self._value += piece[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _chunk(self, piece: bytes, start: int, end: int) -> None:
        self._chunks.append(piece[start:end])

    def _end(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition"))[1]
        name = options.get(b"name")
        if name is None:
            return
        content_type = ""
        if b"filename" in options:  # The type of a plain field is ignored.
            given = self._headers.get(b"content-type", b"").decode("latin-1")
            content_type = media_type(given) or _UNNAMED_FILE_TYPE
        self.parts.append(Part(name.decode("utf-8", "replace"), content_type, self._chunks))
