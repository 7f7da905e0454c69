"""The port through which workers are started somewhere.

``supervision.process`` starts them on this machine; another launcher may start them elsewhere.
The slot that runs a worker knows only these two protocols.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from flambeau.supervision.channel import Channel


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """What a launcher must know to start one worker."""

    name: str
    """``W-<id>-<model>_<version>``"""
    model_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Variables on top of the server's filtered environment."""
    preload: frozenset[str] = frozenset()
    """Modules the handler will import."""
    python: str = ""
    """Interpreter; empty means the server's own. Another one is never forked."""


class Worker(Protocol):
    """One running worker process and the channel to it."""

    channel: Channel
    pid: int
    name: str
    """That of its command."""

    async def died_of_kill(self) -> bool:
        """Whether the process ended by SIGKILL; waits a moment for the system to tell."""

    async def stop(self, grace: float) -> None:
        """Ask it to end, and end it by force after ``grace`` seconds; returns when it is gone."""

    def kill(self) -> None:
        """End it at once; returns before it is gone."""

    def resident_bytes(self) -> int:
        """Resident memory now; 0 when it cannot be read."""


class Launcher(Protocol):
    """Starts workers."""

    async def launch(self, command: WorkerCommand) -> Worker:
        """A started, connected worker with nothing loaded.

        Raises WorkerStartFailed when no process can be started. Cancelled, it leaves none behind.
        """

    async def close(self) -> None:
        """Release what the launcher keeps between workers."""
