"""What a handler gets as ``data``: one dict per job, values decoded by their content type.

Called by ``service`` for each batch. JSON values are those of ``json.loads``; what cannot be
decoded stays a bytearray, as handlers written for TorchServe expect. It never raises for input.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.transport.messages import JobHead

logger = logging.getLogger(__name__)

MAX_KNOWN_TYPES: Final = 1024
"""Clients choose content types; the table of those seen must not grow with them."""

_fast_json = msgspec.json.Decoder().decode
_decoders: dict[str, Callable[[bytearray], Any] | None] = {"": None}


def raw_rows(jobs: list[JobHead], bodies: list[bytearray]) -> list[dict[str, Any]]:
    """One dict per job, every value a bytearray."""
    values = iter(bodies)
    return [{part.name: next(values) for part in job.parts} for job in jobs]


def decoded_rows(jobs: list[JobHead], bodies: list[bytearray]) -> list[dict[str, Any]]:
    """One dict per job: JSON parsed, text as str, anything else a bytearray."""
    rows = []
    index = 0
    for job in jobs:
        row: dict[str, Any] = {}
        for part in job.parts:
            body = bodies[index]
            index += 1
            try:
                decode = _decoders[part.content_type]
            except KeyError:
                decode = _learn(part.content_type)
            row[part.name] = body if decode is None else decode(body)
        rows.append(row)
    return rows


def media_type(content_type: str) -> str:
    """The content type without its parameters, as the original shows it to handlers."""
    return content_type.partition(";")[0].strip()


def _learn(content_type: str) -> Callable[[bytearray], Any] | None:
    plain = media_type(content_type)
    decode: Callable[[bytearray], Any] | None = None
    if plain == "application/json":
        decode = decode_json
    elif plain.startswith("text"):
        decode = decode_text
    if len(_decoders) < MAX_KNOWN_TYPES:
        _decoders[content_type] = decode
    return decode


def decode_json(body: bytearray) -> Any:
    """What ``json.loads`` makes of the UTF-8 text, or ``body`` itself if it is no JSON."""
    try:
        return _fast_json(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass  # NaN, 1e400, lone surrogates: json.loads takes what msgspec refuses
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        logger.warning("the body is not valid JSON and is passed on as bytes: %s", error)
        return body


def decode_text(body: bytearray) -> str | bytearray:
    """The UTF-8 text, or ``body`` itself if it is none."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        logger.warning("the body is not valid UTF-8 and is passed on as bytes: %s", error)
        return body
