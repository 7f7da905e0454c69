"""Timing of a function."""

from __future__ import annotations

from flambeau.handlers.timer import timeit as timeit
