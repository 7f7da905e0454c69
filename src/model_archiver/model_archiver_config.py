"""What goes into an archive."""

from __future__ import annotations

from flambeau.archive.manifest import RuntimeType
from flambeau.archive.mar import ModelArchiverConfig

__all__ = ["ModelArchiverConfig", "RuntimeType"]
