"""Which device the next worker of a version gets; a pure policy over counts.

Plain versions share one counter over all accelerators of the machine, moved on before use, as
measured: with two of them the first worker gets number 1, the next number 0. A version with
``deviceIds`` goes round its own list from the start; one with a parallel level takes as many
neighbours at a time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "XPU_VISIBLE_DEVICES")


def usable(detected: int, most: int | None) -> int:
    """Accelerators to use: those that are there, at most ``most`` (the setting number_of_gpu)."""
    return detected if most is None else max(0, min(detected, most))


def listed(environment: Mapping[str, str] | None = None) -> int | None:
    """Accelerators the environment makes visible; None when no variable says so."""
    source = os.environ if environment is None else environment
    for name in VISIBLE:
        if name in source:
            return len({part.strip() for part in source[name].split(",") if part.strip()})
    return None


def usable_ids(wanted: Sequence[int] | None, devices: int) -> list[int] | None:
    """``deviceIds`` of a version; one that is out of range voids the whole list."""
    if not wanted or any(not 0 <= number < devices for number in wanted):
        return None
    return list(wanted)


class SharedRound:
    """The counter all plain versions share."""

    def __init__(self, devices: int) -> None:
        self.devices = devices
        self._last = 0

    def next(self) -> int | None:
        """The next device; None on a machine without any."""
        if not self.devices:
            return None
        self._last = (self._last + 1) % self.devices
        return self._last


class VersionRound:
    """Devices for the workers of one version, ``level`` at a time (1 for plain versions)."""

    def __init__(self, shared: SharedRound, device_type: str, ids: Sequence[int] | None) -> None:
        self._shared = shared
        self._use = device_type != "cpu" and shared.devices > 0
        self._ids = usable_ids(ids, shared.devices)
        self._next = 0

    @property
    def device_type(self) -> str:
        """``gpu`` or ``cpu``, as describe shows it."""
        return "gpu" if self._use else "cpu"

    @property
    def ids(self) -> list[int] | None:
        """The list the version goes round, if it names a usable one."""
        return self._ids if self._use else None

    def take(self) -> int | None:
        """The device of the next worker; None for the CPU."""
        if not self._use:
            return None
        if self._ids is None:
            return self._shared.next()
        number = self._ids[self._next % len(self._ids)]
        self._next += 1
        return number

    def take_slice(self, level: int) -> list[int]:
        """The ``level`` devices of the next worker of a parallel model; empty for the CPU."""
        if not self._use:
            return []
        pool = self._ids or list(range(self._shared.devices))
        start = (self._next * level) % len(pool)
        self._next += 1
        return [pool[(start + step) % len(pool)] for step in range(min(level, len(pool)))]
