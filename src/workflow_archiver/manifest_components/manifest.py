"""The whole of MANIFEST.json."""

from __future__ import annotations

from flambeau.archive.legacy_workflow import Manifest

__all__ = ["Manifest"]
