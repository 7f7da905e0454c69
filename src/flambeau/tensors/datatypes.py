"""The datatypes of the Open Inference Protocol, and their bytes to and from Python values.

Both faces convert tensors here. Values are Python's own: bool, int, float, and bytes for BYTES;
arrays are flat, in row-major order; bytes are little-endian, as on the wire. No numpy: the server
does not need it.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SWAP = sys.byteorder != "little"
_LENGTH = struct.Struct("<I")
_QUOTED = 100
_HALF_LIMIT = 65520.0
"""From here on a number rounds to infinity in FP16."""

_MAGNITUDE, _INFINITY = 0x7FFFFFFF, 0x7F800000
"""Of the bits of a float32: all but the sign, and infinity."""


class TensorError(ValueError):
    """Bytes or values that are not what their datatype and shape say."""


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype: bytes for each value (0 where they differ), and the way there and back."""

    name: str
    size: int
    unpack: Callable[[bytes], list[Any]]
    pack: Callable[[Sequence[Any]], bytes]


def datatype(name: Any) -> Datatype:
    """The datatype called ``name``. Raises TensorError."""
    found = DATATYPES.get(name) if isinstance(name, str) else None
    if found is None:
        raise TensorError(f"datatype {shown(name)} is none of {', '.join(DATATYPES)}")
    return found


def unpacked(name: Any, shape: Sequence[int], raw: bytes) -> list[Any]:
    """The values in ``raw``. Raises TensorError when it does not hold as many as ``shape`` says."""
    kind = datatype(name)
    count = elements(shape)
    if kind.size and len(raw) != count * kind.size:
        raise TensorError(
            f"{len(raw)} bytes cannot have the shape {shown(shape)} of {kind.name}, "
            f"{kind.size} bytes a value"
        )
    values = kind.unpack(raw)
    if len(values) != count:
        raise TensorError(f"{len(values)} values cannot have the shape {shown(shape)}")
    return values


def packed(name: Any, values: Sequence[Any]) -> bytes:
    """The bytes of ``values``. Raises TensorError for a value that does not fit the datatype."""
    kind = datatype(name)
    try:
        return kind.pack(values)
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        raise TensorError(f"a value does not fit {kind.name}: {error}") from error


def elements(shape: Any) -> int:
    """How many values a tensor of ``shape`` has. Raises TensorError for what is no shape."""
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise TensorError(f"shape {shown(shape)} is no list of whole numbers from 0 up")
    return math.prod(shape)


def shown(value: Any) -> str:
    """``value`` as a message quotes it: at most about a hundred characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, endless nesting
        return type(value).__name__
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."


def _numbers(name: str, code: str) -> Datatype:
    """A datatype whose values lie side by side, as an array of type ``code``."""

    def unpack(raw: bytes) -> list[Any]:
        values = array(code, raw)
        if _SWAP:
            values.byteswap()
        return values.tolist()

    def pack(values: Sequence[Any]) -> bytes:
        found = array(code, values)
        if _SWAP:
            found.byteswap()
        return found.tobytes()

    return Datatype(name, array(code).itemsize, unpack, pack)


def _unpack_bool(raw: bytes) -> list[bool]:
    return [each != 0 for each in raw]


def _pack_bool(values: Sequence[Any]) -> bytes:
    for value in values:
        if value not in {0, 1}:
            raise ValueError(f"{value!r} is neither true nor false")
    return bytes(map(bool, values))


def _unpack_half(raw: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(raw) // 2}e", raw))


def _pack_half(values: Sequence[Any]) -> bytes:
    try:
        return struct.pack(f"<{len(values)}e", *values)
    except OverflowError:
        finite = [
            math.copysign(math.inf, value) if abs(value) >= _HALF_LIMIT else value
            for value in values
        ]
        return struct.pack(f"<{len(values)}e", *finite)


def _unpack_brain(raw: bytes) -> list[float]:
    # A bfloat16 is the upper half of a float32.
    wide = bytearray(len(raw) * 2)
    wide[2::4], wide[3::4] = raw[::2], raw[1::2]
    return DATATYPES["FP32"].unpack(bytes(wide))


def _pack_brain(values: Sequence[Any]) -> bytes:
    words = array("I", array("f", values).tobytes())
    halves = array("H", [_rounded(word) for word in words])
    if _SWAP:
        halves.byteswap()
    return halves.tobytes()


def _rounded(word: int) -> int:
    """The bfloat16 nearest to the float32 ``word``; ties to even, what is no number stays none."""
    if word & _MAGNITUDE > _INFINITY:
        return word >> 16 | 0x40
    return (word + 0x7FFF + (word >> 16 & 1)) >> 16


def _unpack_texts(raw: bytes) -> list[bytes]:
    """Texts with their lengths before them, four bytes each."""
    values = []
    at = 0
    while at < len(raw):
        start = at + _LENGTH.size
        if start > len(raw):
            raise TensorError("BYTES end within the length of a value")
        (length,) = _LENGTH.unpack_from(raw, at)
        at = start + length
        if at > len(raw):
            raise TensorError(f"BYTES end before a value of {length} bytes does")
        values.append(raw[start:at])
    return values


def _pack_texts(values: Sequence[bytes]) -> bytes:
    pieces: list[bytes] = []
    for value in values:
        pieces += (_LENGTH.pack(len(value)), value)
    return b"".join(pieces)


DATATYPES = {
    each.name: each
    for each in (
        Datatype("BOOL", 1, _unpack_bool, _pack_bool),
        _numbers("UINT8", "B"),
        _numbers("UINT16", "H"),
        _numbers("UINT32", "I"),
        _numbers("UINT64", "Q"),
        _numbers("INT8", "b"),
        _numbers("INT16", "h"),
        _numbers("INT32", "i"),
        _numbers("INT64", "q"),
        Datatype("FP16", 2, _unpack_half, _pack_half),
        _numbers("FP32", "f"),
        _numbers("FP64", "d"),
        Datatype("BF16", 2, _unpack_brain, _pack_brain),
        Datatype("BYTES", 0, _unpack_texts, _pack_texts),
    )
}
