"""Handlers of models spread over devices."""

from __future__ import annotations
