"""Cleaning of English text before it is tokenised: tags, contractions, accents, punctuation.

Used by ``text_handler``; the names are public through ``ts.torch_handler``. No state.
"""

from __future__ import annotations

import re
import string
import unicodedata

CLEANUP_REGEX = re.compile(r"<.*?>|&([a-z0-9]+|#[0-9]{1,6}|#x[0-9a-f]{1,6});")

_ENDINGS = {
    "'ve": (
        " have",
        "could I i might must should so they to we what when where who why will would you",
    ),
    "n't've": (" not have", "could had might must need ought should would"),
    "'d": (" would", "he I i it she that there they we you"),
    "'d've": (" would have", "he I i it she that there they we you"),
    "'ll": (" will", "he how I i it she they we what who you"),
    "'s": (" is", "he how it she that there what when where who why"),
    "'ll've": (" will have", "I i it she they we what who you"),
    "'m": (" am", "I i"),
    "'re": (" are", "they we what you"),
}
"""Ending: what it stands for, and the words that take it."""

_IRREGULAR = {
    "ain't": "is not",
    "aren't": "are not",
    "can't": "cannot",
    "can't've": "cannot have",
    "'cause": "because",
    "couldn't": "could not",
    "didn't": "did not",
    "doesn't": "does not",
    "don't": "do not",
    "hadn't": "had not",
    "hasn't": "has not",
    "haven't": "have not",
    "he'll've": "he will have",
    "how'd": "how did",
    "how'd'y": "how do you",
    "isn't": "is not",
    "let's": "let us",
    "ma'am": "madam",
    "mayn't": "may not",
    "mightn't": "might not",
    "mustn't": "must not",
    "needn't": "need not",
    "o'clock": "of the clock",
    "oughtn't": "ought not",
    "shan't": "shall not",
    "sha'n't": "shall not",
    "shan't've": "shall not have",
    "shouldn't": "should not",
    "so's": "so as",
    "wasn't": "was not",
    "weren't": "were not",
    "where'd": "where did",
    "won't": "will not",
    "won't've": "will not have",
    "wouldn't": "would not",
    "y'all": "you all",
    "y'all'd": "you all would",
    "y'all'd've": "you all would have",
    "y'all're": "you all are",
    "y'all've": "you all have",
}

CONTRACTION_MAP = {
    **{
        word + ending: word + meaning
        for ending, (meaning, words) in _ENDINGS.items()
        for word in words.split()
    },
    **_IRREGULAR,
}
"""Contraction to its long form."""

# Longest first: "can't've" must not be taken for "can't".
CONTRACTIONS_PATTERN = re.compile(
    "|".join(re.escape(one) for one in sorted(CONTRACTION_MAP, key=len, reverse=True)),
    flags=re.IGNORECASE,
)

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def remove_html_tags(text: str) -> str:
    """``text`` without tags and character references."""
    return CLEANUP_REGEX.sub("", text)


def expand_contractions(text: str) -> str:
    """``text`` with contractions spelled out and without apostrophes."""

    def long_form(match: re.Match[str]) -> str:
        word = match.group(0)
        meaning = CONTRACTION_MAP.get(word) or CONTRACTION_MAP[word.lower()]
        return word[0] + meaning[1:] if word[0] != "'" else meaning

    return CONTRACTIONS_PATTERN.sub(long_form, text).replace("'", "")


def remove_accented_characters(text: str) -> str:
    """``text`` in ASCII: letters without their accents, anything else left out."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def remove_punctuation(text: str) -> str:
    """``text`` without ASCII punctuation."""
    return text.translate(_PUNCTUATION)
