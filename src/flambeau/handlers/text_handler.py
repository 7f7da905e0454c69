"""``TextHandler``: what handlers of text models share: vocabulary, cleaning, tokens.

Needs the archive's ``source_vocab.pt``; captum only for explanations.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flambeau.handlers import model_files, text_cleanup
from flambeau.handlers.base_handler import BaseHandler
from flambeau.handlers.tokens import get_tokenizer

if TYPE_CHECKING:
    from flambeau.worker.context import Context


class TextHandler(BaseHandler):
    """Loads the vocabulary beside the model and offers the steps of cleaning a text."""

    def __init__(self) -> None:
        super().__init__()
        self.source_vocab: Any = None
        self.tokenizer = get_tokenizer("basic_english")
        self.input_text: Any = None
        self.lig: Any = None

    def initialize(self, context: Context) -> None:
        """Load model and vocabulary. Raises FileNotFoundError without ``source_vocab.pt``."""
        super().initialize(context)
        self.source_vocab = model_files.loaded(self.get_source_vocab_path(context), "cpu")
        self.initialized = True

    def get_source_vocab_path(self, ctx: Context) -> str:
        """The file of the vocabulary."""
        path = Path(str(ctx.system_properties["model_dir"])) / "source_vocab.pt"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: pack the vocabulary with --extra-files source_vocab.pt"
            )
        return str(path)

    def _expand_contractions(self, text: str) -> str:
        return text_cleanup.expand_contractions(text)

    def _remove_accented_characters(self, text: str) -> str:
        return text_cleanup.remove_accented_characters(text)

    def _remove_html_tags(self, text: str) -> str:
        return text_cleanup.remove_html_tags(text)

    def _remove_punctuation(self, text: str) -> str:
        return text_cleanup.remove_punctuation(text)

    def _remove_puncutation(self, text: str) -> str:
        return self._remove_punctuation(text)

    def _tokenize(self, text: str) -> list[str]:
        return self.tokenizer(text)

    def get_word_token(self, input_tokens: list[str]) -> list[str]:
        """The tokens without the byte-pair mark that stands for a blank."""
        return [token.replace("Ġ", "") for token in input_tokens]

    def summarize_attributions(self, attributions: Any) -> Any:
        """One number per token: its attributions summed and scaled to length one."""
        summed = attributions.sum(dim=-1).squeeze(0)
        return summed / torch.norm(summed)
