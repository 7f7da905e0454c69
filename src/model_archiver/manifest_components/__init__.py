"""The parts of MANIFEST.json."""

from __future__ import annotations

from model_archiver.manifest_components import manifest, model

__all__ = ["manifest", "model"]
