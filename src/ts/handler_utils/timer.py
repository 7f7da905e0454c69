"""Timing of a handler's steps."""

from __future__ import annotations

from flambeau.handlers.timer import timed as timed
