from __future__ import annotations

import pytest

from flambeau.handlers.text_cleanup import (
    CONTRACTION_MAP,
    expand_contractions,
    remove_accented_characters,
    remove_html_tags,
    remove_punctuation,
)
from flambeau.handlers.tokens import basic_english, get_tokenizer, ngrams_iterator


def test_contractions_are_spelled_out_longest_first():
    assert len(CONTRACTION_MAP) == 123
    assert expand_contractions("I can't've; You'll, He's") == "I cannot have; You will, He is"
    assert expand_contractions("'cause she'll") == "because she will"


def test_tags_accents_and_punctuation_go():
    assert remove_html_tags("<b>a</b>&nbsp;b") == "ab"
    assert remove_accented_characters("café naïve 東") == "cafe naive "
    assert remove_punctuation("a.b!c-d") == "abcd"


def test_basic_english_splits_at_punctuation():
    assert basic_english('Hello, World! It\'s "a" test.; (x) <br />q: z?') == [
        "hello",
        ",",
        "world",
        "!",
        "it",
        "'",
        "s",
        "a",
        "test",
        ".",
        "(",
        "x",
        ")",
        "q",
        "z",
        "?",
    ]


def test_a_tokenizer_is_found_by_name_or_given():
    assert get_tokenizer(None)("a  b") == ["a", "b"]
    assert get_tokenizer("basic_english") is basic_english
    assert get_tokenizer(str.split) is str.split
    with pytest.raises(ValueError, match="spacy"):
        get_tokenizer("spacy")
    with pytest.raises(ValueError, match="de"):
        get_tokenizer("basic_english", "de")


def test_ngrams_follow_the_tokens():
    assert list(ngrams_iterator(["here", "we", "are"], 3)) == [
        "here",
        "we",
        "are",
        "here we",
        "we are",
        "here we are",
    ]
