"""Tools for unit tests of handlers."""

from __future__ import annotations
