"""The whole of MANIFEST.json."""

from __future__ import annotations

from flambeau.archive.manifest import RuntimeType
from flambeau.compat.model_export import Manifest

__all__ = ["Manifest", "RuntimeType"]
