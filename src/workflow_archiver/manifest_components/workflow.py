"""The workflow object in MANIFEST.json."""

from __future__ import annotations

from flambeau.archive.legacy_workflow import Workflow

__all__ = ["Workflow"]
