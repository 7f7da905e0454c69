"""What to do to get from the workers that are to the workers that are wanted; pure."""

from __future__ import annotations

from typing import NamedTuple


class Plan(NamedTuple):
    """How many slots to add, and which ones (by position) to stop."""

    add: int
    stop: tuple[int, ...]


def plan(running: int, least: int, most: int) -> Plan:
    """Add up to ``least``, stop those beyond ``most`` from the end, else leave them be."""
    if running < least:
        return Plan(least - running, ())
    if running > most:
        return Plan(0, tuple(range(running - 1, most - 1, -1)))
    return Plan(0, ())
