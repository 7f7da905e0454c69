from __future__ import annotations

import pytest

from flambeau.config.properties import Entry, decoded, pairs, substituted
from flambeau.config.setting import ConfigurationError


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("a=b", "a", "b"),
        ("a = b c ", "a", "b c "),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("  a=b", "a", "b"),
        (r"a=http\://h\=x", "a", "http://h=x"),
        (r"a\:b=c", "a:b", "c"),
        (r"a=x\ny", "a", "x\ny"),
        (r"a=\u00e9", "a", "é"),
        ("a", "a", ""),
        ("a=", "a", ""),
        ("a=b=c:d", "a", "b=c:d"),
        ("a=b,\\\n   c", "a", "b,c"),
    ],
)
def test_an_entry_is_read_as_java_reads_it(text, key, value):
    assert [(pair.key, pair.value) for pair in pairs(text)] == [(key, value)]


def test_comments_and_blank_lines_are_no_entries():
    assert pairs("# one\n! two\n\n   \n  # three\n") == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_line_of_an_entry_counts_comments_and_continuations(end):
    text = end.join(["# head", "a=1,\\", "  2", "", "b=3"])
    assert pairs(text) == [Entry("a", "1,2", 2), Entry("b", "3", 5)]


def test_repeated_keys_are_all_there_in_order():
    assert [pair.value for pair in pairs("a=1\nb=2\na=3")] == ["1", "2", "3"]


def test_a_broken_unicode_escape_names_its_line():
    with pytest.raises(ConfigurationError, match=r"^Invalid configuration: line 2: .*u12"):
        pairs("a=1\nb=\\u12zz")


def test_variables_are_replaced_several_in_one_value():
    environment = {"HOST": "0.0.0.0", "PORT_1": "85"}
    value = substituted("http://$$HOST$$:$$PORT_1$$/$x$$", environment)
    assert value == "http://0.0.0.0:85/$x$$"


def test_an_unset_variable_is_fatal():
    with pytest.raises(ConfigurationError) as caught:
        substituted("$$NOPE$$", {})
    assert str(caught.value) == "Invalid configuration: Invalid Environment Variable NOPE"


def test_an_empty_variable_is_a_value():
    assert substituted("a$$EMPTY$$b", {"EMPTY": ""}) == "ab"


def test_a_file_is_utf8_or_else_latin1():
    assert decoded("a=é".encode()) == "a=é"
    assert decoded("a=é".encode("latin-1")) == "a=é"
    assert decoded(b"\xef\xbb\xbfa=1") == "a=1"
