"""What the system says of a process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _status(pid: int) -> list[str]:
    """The fields of its status line, from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def alive(pid: int) -> bool:
    """It runs; one that has ended and was not waited for does not."""
    try:
        return _status(pid)[0] != "Z"
    except FileNotFoundError:
        return False


def parent_of(pid: int) -> int:
    """The process that started it."""
    return int(_status(pid)[1])


def environment_of(pid: int) -> dict[str, str]:
    """What it was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in entries if entry)


def children() -> list[int]:
    """Living children of this process."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += (task / "children").read_text().split()
    return [pid for pid in map(int, found) if alive(pid)]


async def settled(count: Callable[[], int], quiet: float = 0.3) -> int:
    """What ``count`` gives once it has not changed for a while."""
    last, since = count(), monotonic()
    while monotonic() - since < quiet:
        await asyncio.sleep(0.01)
        if count() != last:
            last, since = count(), monotonic()
    return last
