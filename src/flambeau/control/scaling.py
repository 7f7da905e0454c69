"""Bounds, the wish within them, and what to do to get from the workers that are to it; pure.

Bounds come from a registration or a scale call. What is wanted is moved within them: by a change
of the bounds, or by a policy.
"""

from __future__ import annotations

from typing import NamedTuple


class Plan(NamedTuple):
    """How many slots to add, and which ones (by position) to stop."""

    add: int
    stop: tuple[int, ...]


def within(wanted: int, least: int, most: int) -> int:
    """The number of workers nearest to ``wanted`` that the bounds allow."""
    return max(least, min(wanted, most))


def plan(running: int, wanted: int) -> Plan:
    """Add what is missing, or stop from the end what is too many."""
    return Plan(max(0, wanted - running), tuple(range(running - 1, wanted - 1, -1)))
