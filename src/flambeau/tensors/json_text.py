"""JSON of tensors: fast where it is plain, right where numbers are not finite.

Handlers read what is written here with ``json.loads``, and write with ``json.dumps``: NaN and
Infinity pass, although JSON has no word for them.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def written(document: Any) -> bytes:
    """``document`` as JSON."""
    try:
        text = _encode(document)
    except (ValueError, OverflowError):  # lone surrogates, numbers of more than 64 bits
        return json.dumps(document).encode()
    if b"null" in text:  # where a NaN or an infinity may have stood
        return json.dumps(document).encode()
    return text


def read(text: bytes) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("the JSON text is nested too deeply") from error


def flat(values: Any) -> list[Any]:
    """The values of nested lists, in row-major order."""
    level: list[Any] = [values]
    while any(isinstance(each, list) for each in level):
        if all(isinstance(each, list) for each in level):
            level = list(chain.from_iterable(level))
        else:
            level = [one for each in level for one in flat(each)]
    return level
