"""The wire of the original's workers."""

from __future__ import annotations
