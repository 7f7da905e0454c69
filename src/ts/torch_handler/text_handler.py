"""The handler of text models."""

from __future__ import annotations

from flambeau.handlers.base_handler import BaseHandler as BaseHandler
from flambeau.handlers.text_cleanup import CLEANUP_REGEX as CLEANUP_REGEX
from flambeau.handlers.text_cleanup import CONTRACTION_MAP as CONTRACTION_MAP
from flambeau.handlers.text_cleanup import CONTRACTIONS_PATTERN as CONTRACTIONS_PATTERN
from flambeau.handlers.text_handler import TextHandler as TextHandler
from flambeau.handlers.tokens import get_tokenizer as get_tokenizer
