"""Packing workflows from Python, under the names of torch-workflow-archiver 0.2.15. No logic."""

from __future__ import annotations

from workflow_archiver import manifest_components, version
from workflow_archiver.version import __version__

__all__ = ["__version__", "manifest_components", "version"]
