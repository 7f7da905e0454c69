"""What packing raises."""

from __future__ import annotations

from flambeau.archive.packing import PackingError as ModelArchiverError

__all__ = ["ModelArchiverError"]
