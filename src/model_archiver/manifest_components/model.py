"""The model object in MANIFEST.json."""

from __future__ import annotations

from flambeau.compat.model_export import Model

__all__ = ["Model"]
