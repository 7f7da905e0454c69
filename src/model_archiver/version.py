"""The archiver version our archives are interchangeable with."""

from __future__ import annotations

from flambeau.archive.mar import ARCHIVER_VERSION as __version__  # noqa: N811 -- the old name

__all__ = ["__version__"]
