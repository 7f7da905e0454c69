"""Tokens and their n-grams."""

from __future__ import annotations

from flambeau.handlers.tokens import get_tokenizer as get_tokenizer
from flambeau.handlers.tokens import ngrams_iterator as ngrams_iterator
