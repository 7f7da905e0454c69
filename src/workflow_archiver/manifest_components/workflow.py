"""The workflow object in MANIFEST.json."""

from __future__ import annotations

from flambeau.compat.workflow_export import Workflow

__all__ = ["Workflow"]
