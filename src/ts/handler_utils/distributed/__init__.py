"""Models spread over devices."""

from __future__ import annotations
