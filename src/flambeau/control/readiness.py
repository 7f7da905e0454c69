"""Whether what the server was started with can serve: the answer behind ``/readyz``.

``control.plane`` tells it what start-up registered and what failed to register; the faces ask the
plane what is lacking. A full queue is no lack: its workers answer. Nothing here waits or sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flambeau.errors import ModelNotFound, ModelVersionNotFound

if TYPE_CHECKING:
    from flambeau.control.model import ModelVersion
    from flambeau.control.registry import Registry


@dataclass(frozen=True, slots=True)
class Lack:
    """One start-up model that cannot serve now."""

    model: str
    """Its name and version, or the archive that could not be registered."""
    reason: str


class Readiness:
    """What start-up promised, held against what is there."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._promised: set[tuple[str, str]] = set()
        self._failed: dict[str, str] = {}

    def promise(self, name: str, version: str) -> None:
        """Start-up has registered this version: it is expected to serve whenever it is there."""
        self._promised.add((name, version))

    def failed(self, url: str, reason: str) -> None:
        """Start-up could not register the archive at ``url``."""
        self._failed[url] = reason

    def came(self, url: str) -> None:
        """The archive at ``url`` has been registered after all."""
        self._failed.pop(url, None)

    def lacking(self) -> list[Lack]:
        """The start-up models without a worker that answers, each with the reason."""
        found = [
            Lack(url, f"it could not be registered: {why}") for url, why in self._failed.items()
        ]
        for version in self._there():
            if not version.dispatcher.answering and not version.asleep:
                spec = version.spec
                found.append(Lack(f"{spec.name} {spec.version}", _why_silent(version)))
        return found

    def _there(self) -> list[ModelVersion]:
        there = []
        for name, version in sorted(self._promised):
            try:
                there.append(self._registry.find(name, version))
            except (ModelNotFound, ModelVersionNotFound):
                continue
        return there


def _why_silent(version: ModelVersion) -> str:
    """Why no worker of ``version`` answers, from what its slots show."""
    if not version.slots:
        return "it has no workers"
    for slot in version.slots:
        if slot.standing.tries:
            return f"its worker failed: {slot.standing.cause}"
    if version.dispatcher.ready:
        return "its workers do not answer"
    return "it is loading"
