"""The whole of MANIFEST.json."""

from __future__ import annotations

from flambeau.archive.legacy_model import Manifest
from flambeau.archive.manifest import RuntimeType

__all__ = ["Manifest", "RuntimeType"]
