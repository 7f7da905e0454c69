"""Text to class probabilities."""

from __future__ import annotations

from flambeau.handlers.labels import map_class_to_label as map_class_to_label
from flambeau.handlers.text_classifier import TextClassifier as TextClassifier
from flambeau.handlers.text_handler import TextHandler as TextHandler
from flambeau.handlers.tokens import ngrams_iterator as ngrams_iterator
