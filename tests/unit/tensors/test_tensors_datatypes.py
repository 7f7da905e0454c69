from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.tensors.datatypes import DATATYPES, TensorError, elements, packed, unpacked

WIRE = [
    ("BOOL", [True, False], "0100"),
    ("UINT8", [0, 255], "00ff"),
    ("UINT16", [1, 65535], "0100ffff"),
    ("UINT32", [1, 2**32 - 1], "01000000ffffffff"),
    ("UINT64", [2**64 - 1], "ff" * 8),
    ("INT8", [-128, 127], "807f"),
    ("INT16", [-2], "feff"),
    ("INT32", [-2], "feffffff"),
    ("INT64", [-(2**63)], "0000000000000080"),
    ("FP16", [1.5, -2.0], "003e00c0"),
    ("BF16", [1.5, -2.0], "c03f00c0"),
    ("FP32", [1.5], "0000c03f"),
    ("FP64", [1.5], "000000000000f83f"),
    ("BYTES", [b"ab", b"", b"\x00"], "02000000" + "6162" + "00000000" + "01000000" + "00"),
]
WHOLE = [
    (name, bits, signed)
    for bits in (8, 16, 32, 64)
    for name, signed in ((f"INT{bits}", True), (f"UINT{bits}", False))
]


def test_every_datatype_of_the_protocol_is_there():
    assert {name for name, _, _ in WIRE} == set(DATATYPES)


@pytest.mark.parametrize(("name", "values", "wire"), WIRE, ids=[name for name, _, _ in WIRE])
def test_values_are_little_endian_on_the_wire(name, values, wire):
    raw = bytes.fromhex(wire)
    assert packed(name, values) == raw
    found = unpacked(name, [len(values)], raw)
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize(("name", "bits", "signed"), WHOLE)
def test_a_number_beyond_the_bounds_does_not_fit(name, bits, signed):
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    assert unpacked(name, [2], packed(name, [least, most])) == [least, most]
    for beyond in (least - 1, most + 1):
        with pytest.raises(TensorError, match=name):
            packed(name, [beyond])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOOL", 2),
        ("BOOL", "true"),
        ("INT32", 1.5),
        ("INT32", None),
        ("FP16", "1"),
        ("FP32", None),
        ("BF16", "x"),
        ("BYTES", "text"),
        ("UINT8", [1]),
    ],
)
def test_a_value_of_another_kind_does_not_fit(name, value):
    with pytest.raises(TensorError, match=f"does not fit {name}"):
        packed(name, [value])


@given(st.lists(st.floats(width=16)))
def test_fp16_comes_back_as_it_was(values):
    again = unpacked("FP16", [len(values)], packed("FP16", values))
    assert list(map(repr, again)) == list(map(repr, values))


@pytest.mark.parametrize("value", [65504.0, 65519.9, 65520.0, 1e6, -1e300, math.inf])
def test_fp16_has_infinity_beyond_its_largest_number(value):
    (found,) = unpacked("FP16", [1], packed("FP16", [value]))
    assert found == (65504.0 if abs(value) < 65520 else math.copysign(math.inf, value))


@given(st.lists(st.integers(0, 0xFFFF)))
def test_bf16_is_the_upper_half_of_a_float32(halves):
    raw = struct.pack(f"<{len(halves)}H", *halves)
    values = unpacked("BF16", [len(halves)], raw)
    wide = struct.unpack(
        f"<{len(halves)}f", b"".join(b"\0\0" + struct.pack("<H", h) for h in halves)
    )
    assert list(map(repr, values)) == list(map(repr, wide))
    again = unpacked("BF16", [len(halves)], packed("BF16", values))
    assert list(map(repr, again)) == list(map(repr, values))


@pytest.mark.parametrize(
    ("value", "half"),
    [
        (1 + 2**-8, 1.0),
        (1 + 3 * 2**-8, 1 + 2**-6),
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (3.4e38, math.inf),
    ],
)
def test_bf16_rounds_to_the_nearest_and_ties_to_even(value, half):
    assert unpacked("BF16", [1], packed("BF16", [value])) == [half]


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_bytes_come_back_as_they_were(values):
    assert unpacked("BYTES", [len(values)], packed("BYTES", values)) == values


@pytest.mark.parametrize(
    ("name", "shape", "raw", "problem"),
    [
        ("FP32", [2], b"1234", "4 bytes cannot have the shape .2. of FP32, 4 bytes a value"),
        ("FP32", [1], b"12345", "5 bytes"),
        ("BYTES", [1], b"\x05\x00\x00\x00ab", "before a value of 5 bytes"),
        ("BYTES", [1], b"\x05\x00", "within the length"),
        ("BYTES", [2], b"\x00\x00\x00\x00", "1 values"),
        ("FP8", [1], b"1", "'FP8' is none of BOOL, "),
        (["FP32"], [1], b"1234", "is none of"),
        ("INT8", [-1], b"1", "no list of whole numbers"),
        ("INT8", [True], b"1", "no list of whole numbers"),
        ("INT8", None, b"1", "no list of whole numbers"),
    ],
)
def test_bytes_that_are_not_what_they_say_are_refused(name, shape, raw, problem):
    with pytest.raises(TensorError, match=problem):
        unpacked(name, shape, raw)


def test_a_shape_says_how_many_values_there_are():
    assert [elements([]), elements([0, 7]), elements([2, 3])] == [1, 0, 6]
