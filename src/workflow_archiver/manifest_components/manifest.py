"""The whole of MANIFEST.json."""

from __future__ import annotations

from flambeau.compat.workflow_export import Manifest

__all__ = ["Manifest"]
