"""Downloads from the Hugging Face hub."""

from __future__ import annotations

from flambeau.handlers.hub import download_model as download_model
