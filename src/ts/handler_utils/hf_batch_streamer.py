"""Streaming of generated text, batch by batch."""

from __future__ import annotations

from flambeau.handlers.hf_batch_streamer import (
    TextIteratorStreamerBatch as TextIteratorStreamerBatch,
)
