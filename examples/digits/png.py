"""Eight-bit grey PNG pictures to numbers, with the standard library only.

Enough for the small pictures of this example; a model for photographs would use Pillow. Packed into
the archive beside the handler.
"""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST = 1 << 20
"""Pixels; a few bytes of PNG can claim to unfold into gigabytes."""


def read_png(content: bytes) -> list[list[int]]:
    """Rows of grey values, 0 to 255. ValueError says why a file cannot be read."""
    if not content.startswith(SIGNATURE):
        raise ValueError("not a PNG file")
    header, packed = b"", b""
    at = len(SIGNATURE)
    while at + 12 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        piece = content[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            header = piece
        elif kind == b"IDAT":
            packed += piece
        at += 12 + size
    if len(header) != 13:
        raise ValueError("the PNG file has no complete header")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if (depth, colour, interlaced) != (8, 0, 0):
        raise ValueError("only plain 8-bit grey PNG files are read: no colour, no interlacing")
    if not 0 < width * height <= LARGEST:
        raise ValueError(f"the PNG file is {width}x{height} pixels")
    return unfiltered(inflated(packed, height * (width + 1)), width, height)


def inflated(packed: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes of picture, never more in memory."""
    try:
        unpacked = zlib.decompressobj().decompress(packed, size)
    except zlib.error as error:
        raise ValueError(f"the PNG file is damaged: {error}") from error
    if len(unpacked) != size:
        raise ValueError("the PNG file is cut short")
    return unpacked


def unfiltered(lines: bytes, width: int, height: int) -> list[list[int]]:
    """The rows, with each line's filter undone (PNG specification, section 9)."""
    rows: list[list[int]] = []
    above = [0] * width
    for y in range(height):
        line = lines[y * (width + 1) : (y + 1) * (width + 1)]
        row: list[int] = []
        for x in range(width):
            left = row[x - 1] if x else 0
            corner = above[x - 1] if x else 0
            row.append((line[x + 1] + predicted(line[0], left, above[x], corner)) & 255)
        rows.append(row)
        above = row
    return rows


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    """What filter ``kind`` expects a pixel to be, from its three known neighbours."""
    if kind > 4:
        raise ValueError(f"the PNG file uses an unknown filter, {kind}")
    guess = left + up - corner
    nearest = min((left, up, corner), key=lambda each: abs(guess - each))
    return (0, left, up, (left + up) // 2, nearest)[kind]
