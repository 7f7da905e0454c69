"""Preprocessing on the device."""

from __future__ import annotations
