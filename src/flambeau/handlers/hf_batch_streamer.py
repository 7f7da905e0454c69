"""Streaming of text while a batch is generated (``ts.handler_utils.hf_batch_streamer``).

Given to ``generate`` of a transformers model as ``streamer``; the handler iterates over it in
another thread. Needs transformers.
"""

from __future__ import annotations

from queue import Queue
from typing import Any

from flambeau.handlers.needs import needed

_Base: Any = needed("transformers.generation.streamers", "hf_batch_streamer").BaseStreamer


class TextIteratorStreamerBatch(_Base):  # type: ignore[misc]  # its base comes from another package
    """Yields, for each step of a batch, a list of ``{"text": piece}``."""

    def __init__(
        self,
        tokenizer: Any,
        batch_size: int,
        skip_prompt: bool = False,  # noqa: FBT001, FBT002 - positional in the public API
        timeout: float | None = None,
        **decode_kwargs: Any,
    ) -> None:
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.skip_prompt = skip_prompt
        self.timeout = timeout
        self.decode_kwargs = decode_kwargs
        self.text_queue: Queue[list[dict[str, str]] | None] = Queue()
        self._prompt_seen = False
        self._tokens: list[list[int]] = [[] for _ in range(batch_size)]
        self._printed = [0] * batch_size

    def put(self, value: Any) -> None:
        """Take the next token of each sequence. Raises ValueError for another batch size."""
        if value.shape[0] != self.batch_size:
            raise ValueError(f"{value.shape[0]} sequences for a batch of {self.batch_size}")
        if self.skip_prompt and not self._prompt_seen:
            self._prompt_seen = True
            return
        self._prompt_seen = True
        pieces = []
        for index, tokens in enumerate(value.tolist()):
            self._tokens[index] += tokens if isinstance(tokens, list) else [tokens]
            pieces.append({"text": self._new_text(index, last=False)})
        self.text_queue.put(pieces, timeout=self.timeout)

    def _new_text(self, index: int, *, last: bool) -> str:
        text = self.tokenizer.decode(self._tokens[index], **self.decode_kwargs)
        # A word may still change with its next token: only what ends at a blank is final.
        end = len(text) if last or text.endswith("\n") else text.rfind(" ") + 1
        piece = text[self._printed[index] : end]
        self._printed[index] = max(end, self._printed[index])
        return str(piece)

    def end(self) -> None:
        """Send what was held back, and the end."""
        pieces = [{"text": self._new_text(index, last=True)} for index in range(self.batch_size)]
        self.text_queue.put(pieces, timeout=self.timeout)
        self.text_queue.put(None, timeout=self.timeout)

    def __iter__(self) -> TextIteratorStreamerBatch:
        return self

    def __next__(self) -> list[dict[str, str]]:
        pieces = self.text_queue.get(timeout=self.timeout)
        if pieces is None:
            raise StopIteration
        return pieces
