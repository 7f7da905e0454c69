"""The example's PNG reader: right pixels for right files, clear errors for all others."""

from __future__ import annotations

import importlib.util
import json
import struct
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits"
SPEC = importlib.util.spec_from_file_location("digits_png", EXAMPLE / "png.py")
assert SPEC
assert SPEC.loader
png = importlib.util.module_from_spec(SPEC)
sys.modules["digits_png"] = png
SPEC.loader.exec_module(png)


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def picture(
    lines: bytes, width: int = 2, height: int = 2, form: tuple[int, int, int] = (8, 0, 0)
) -> bytes:
    depth, colour, interlaced = form
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    packed = zlib.compress(lines)
    return png.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def filtered(rows: list[list[int]], kinds: list[int]) -> bytes:
    """The lines a writer makes of ``rows`` with the given filter for each."""
    above, lines = [0] * len(rows[0]), b""
    for row, kind in zip(rows, kinds, strict=True):
        corners = [0, *above[:-1]]
        lefts = [0, *row[:-1]]
        line = [
            (value - png.predicted(kind, left, up, corner)) & 255
            for value, left, up, corner in zip(row, lefts, above, corners, strict=True)
        ]
        lines += bytes([kind, *line])
        above = row
    return lines


def test_the_shipped_picture_is_the_shipped_list() -> None:
    rows = png.read_png((EXAMPLE / "digit.png").read_bytes())
    listed = json.loads((EXAMPLE / "digit.json").read_text())
    assert [[round(value / 255 * 16) for value in row] for row in rows] == listed


@given(st.data())
def test_every_filter_is_undone(source: st.DataObject) -> None:
    width = source.draw(st.integers(1, 9))
    rows = source.draw(
        st.lists(
            st.lists(st.integers(0, 255), min_size=width, max_size=width), min_size=1, max_size=9
        )
    )
    kinds = source.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    assert png.read_png(picture(filtered(rows, kinds), width, len(rows))) == rows


@pytest.mark.parametrize(("kind", "value"), [(0, 0), (1, 10), (2, 20), (3, 15), (4, 20)])
def test_predictions_follow_the_specification(kind: int, value: int) -> None:
    assert png.predicted(kind, left=10, up=20, corner=5) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GIF89a", "not a PNG"),
        (png.SIGNATURE, "no complete header"),
        (picture(bytes(6), form=(16, 0, 0)), "8-bit grey"),
        (picture(bytes(6), form=(8, 2, 0)), "8-bit grey"),
        (picture(bytes(6), form=(8, 0, 1)), "interlacing"),
        (picture(bytes(6), width=1 << 20, height=1 << 20), "pixels"),
        (picture(bytes(5)), "cut short"),
        (picture(b"\x07\0\0\0\0\0"), "unknown filter"),
        (picture(bytes(6))[:-40] + b"\0" * 40, "PNG file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        png.read_png(content)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_value_error(noise: bytes) -> None:
    for content in (noise, png.SIGNATURE + noise):
        try:
            png.read_png(content)
        except ValueError:
            continue
