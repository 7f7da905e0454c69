"""``TextClassifier``: a text to the probability of each class.

For models with an ``embedding`` layer called as ``model(tokens, offsets)``, as of a bag of
n-grams.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from flambeau.handlers.envelopes import payload
from flambeau.handlers.labels import map_class_to_label
from flambeau.handlers.needs import needed
from flambeau.handlers.text_handler import TextHandler
from flambeau.handlers.tokens import ngrams_iterator


class TextClassifier(TextHandler):
    """Answers each text with ``{label: probability}`` of every class."""

    ngrams = 2

    def preprocess(self, data: list[Any]) -> tuple[Any, Any]:
        """The tokens of all texts in one row, and where each text begins."""
        texts = [self._tokens(row) for row in data]
        self.input_text = texts[0]
        starts: list[int] = []
        numbers: list[int] = []
        for tokens in texts:
            starts.append(len(numbers))
            numbers += [self.source_vocab[one] for one in ngrams_iterator(tokens, self.ngrams)]
        place = {"device": self.device, "dtype": torch.long}
        return torch.as_tensor(numbers, **place), torch.as_tensor(starts, **place)

    def _tokens(self, row: Any) -> list[str]:
        text = payload(row)
        if isinstance(text, (bytes, bytearray)):
            text = text.decode()
        text = self._remove_html_tags(text).lower()
        text = self._remove_accented_characters(self._expand_contractions(text))
        return self._tokenize(self._remove_punctuation(text))

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """The model's output for tokens and beginnings."""
        tokens, starts = data
        return super().inference(tokens, starts, *args, **kwargs)

    def postprocess(self, data: Any) -> list[dict[Any, Any]]:
        """The probability of each class."""
        return map_class_to_label(functional.softmax(data, dim=-1).tolist(), self.mapping)

    def get_insights(self, text_preprocess: Any, _: Any, target: int = 0) -> list[dict[str, Any]]:
        """How much each word of the first text speaks for ``target``."""
        attr = needed("captum.attr", "an explanation", "captum")
        tokens, starts = text_preprocess
        self.lig = attr.LayerIntegratedGradients(self.model, self.model.embedding)
        attributions = self.lig.attribute(
            tokens,
            baselines=torch.zeros_like(tokens),
            additional_forward_args=(starts[:1],),
            target=target,
        )
        importances = self.summarize_attributions(attributions)
        return [
            {
                "importances": importances.tolist()[: len(self.input_text)],
                "words": self.get_word_token(self.input_text),
            }
        ]
