"""The model object in MANIFEST.json."""

from __future__ import annotations

from flambeau.archive.legacy_model import Model

__all__ = ["Model"]
