from __future__ import annotations

import pytest

from flambeau.errors import BadRequest, UnknownPath
from flambeau.rest.query import MAX_PARAMETERS, Query, as_integer, form_pairs, split_target


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        (b"/", []),
        (b"///", []),
        (b"/models", ["models"]),
        (b"/models///", ["models"]),
        (b"//models", ["", "models"]),
        (b"/models/echo%2F1.0", ["models", "echo", "1.0"]),
        (b"/predictions//1.0", ["predictions", "", "1.0"]),
        (b"/a+b/%C3%BC", ["a+b", "ü"]),
        (b"/models/%ff", ["models", "\ufffd"]),
        (b"/models?x=/a/b", ["models"]),
    ],
)
def test_a_path_is_decoded_before_it_is_split_and_trailing_slashes_are_ignored(target, segments):
    assert split_target(target)[0] == segments


@pytest.mark.parametrize(
    "target",
    [b"models", b"*", b"", b"/models/%zz", b"/models/a%4", b"/models?limit=%zz", b"/models#x"],
)
def test_a_malformed_target_is_a_bad_request(target):
    with pytest.raises(BadRequest):
        split_target(target)


def test_a_bad_escape_is_named_with_its_place():
    with pytest.raises(BadRequest, match="at index 9 of the request target: /models/a%4"):
        split_target(b"/models/a%4")


def test_an_absolute_target_is_not_found():
    with pytest.raises(UnknownPath):
        split_target(b"http://h/models")


def test_the_first_of_equal_parameters_wins_and_plus_is_a_blank():
    query = split_target(b"/m?a=1&a=2&b=x+y&c&=v&&d=%C3%BC")[1]
    assert [query.text(name) for name in "abcde"] == ["1", "x y", "", "ü", None]
    assert query.every("a") == ["1", "2"]
    assert query.filled("c") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5),
        ("+5", 5),
        ("-5", -5),
        ("007", 7),
        ("2147483647", 2**31 - 1),
        ("-2147483648", -(2**31)),
        ("2147483648", None),
        ("99999999999", None),
        ("", None),
        (" 2", None),
        ("2\n", None),
        ("1.5", None),
        ("two", None),
        ("--1", None),
        ("1_000", None),
        ("\u0665", None),
        ("1" * 5000, None),
    ],
)
def test_only_signed_32_bit_decimals_are_numbers(text, number):
    assert as_integer(text) == number


def test_the_next_spelling_counts_when_the_first_holds_no_number():
    query = Query([("min_worker", "lots"), ("min_workers", "3")])
    assert query.integer("min_worker", "min_workers") == 3


@pytest.mark.parametrize(
    ("text", "flag"), [("true", True), ("TRUE", True), ("1", False), ("yes", False), ("", False)]
)
def test_only_the_word_true_is_true(text, flag):
    assert Query([("x", text)]).flag("x", default=True) is flag


def test_an_absent_flag_has_its_default():
    assert Query([]).flag("x", default=True) is True


def test_too_many_parameters_are_refused():
    assert len(form_pairs(b"&".join([b"a"] * MAX_PARAMETERS))) == MAX_PARAMETERS
    with pytest.raises(BadRequest, match="More than 1000 parameters"):
        form_pairs(b"&".join([b"a"] * (MAX_PARAMETERS + 1)))
