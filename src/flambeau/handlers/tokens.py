"""Tokens of a text and their n-grams (``ts.handler_utils.text_utils``). No torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SPACED = re.compile(r"([.,()!?'])")
_DROPPED = re.compile(r'"')
_BLANK = re.compile(r"<br />|[;:]")


def basic_english(line: str) -> list[str]:
    """Lower-case words, with ``. , ( ) ! ? '`` as words of their own and quotes dropped."""
    text = _BLANK.sub(" ", _DROPPED.sub("", line.lower()))
    return _SPACED.sub(r" \1 ", text).split()


def get_tokenizer(
    tokenizer: str | Callable[[str], list[str]] | None, language: str = "en"
) -> Callable[[str], list[str]]:
    """A function from a line to its tokens.

    None splits at blanks, ``basic_english`` is above, a function is given back. Raises ValueError
    for any other name.
    """
    if tokenizer is None:
        return str.split
    if callable(tokenizer):
        return tokenizer
    if tokenizer == "basic_english":
        if language != "en":
            raise ValueError(f"basic_english is for language en, not {language}")
        return basic_english
    raise ValueError(
        f"tokenizer {tokenizer!r} is not shipped; give 'basic_english', None or a function"
    )


def ngrams_iterator(token_list: Sequence[str], ngrams: int) -> Iterator[str]:
    """The tokens, then every run of 2 up to ``ngrams`` of them joined by blanks."""
    yield from token_list
    for size in range(2, ngrams + 1):
        for start in range(len(token_list) - size + 1):
            yield " ".join(token_list[start : start + size])
