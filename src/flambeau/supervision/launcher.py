"""The port through which workers are started somewhere.

``supervision.process`` and ``supervision.templates`` start them on this machine; another launcher
may start them elsewhere. The slot that runs a worker knows only these protocols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from flambeau.errors import WorkerStartFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flambeau.supervision.channel import Channel

LOCAL: Final = "local"
"""The launcher every server has: processes of its own machine."""


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """What a launcher must know to start one worker.

    It applies all of it before any of the handler's code runs.
    """

    name: str
    """``W-<id>-<model>_<version>``"""
    model_dir: Path
    handler: str
    """As the worker will be told to load it; a launcher may look at what it imports."""
    environment: Mapping[str, str]
    """Every variable the worker sees; none comes on top."""
    python: str = ""
    """Interpreter; empty means the server's own. Another one is never forked."""
    ranks: int = 1
    """Processes the worker is made of; they find theirs in RANK, LOCAL_RANK and WORLD_SIZE."""
    jobs_to_all: bool = True
    """Jobs go to every rank, not to the first alone. Only the first answers."""
    devices: tuple[int, ...] = ()
    """Accelerators the worker is to see, and no others; empty leaves that to the environment."""
    launcher: str = LOCAL
    """Name of the launcher that is to start it."""


class Worker(Protocol):
    """One running worker and the channel to it."""

    channel: Channel
    pids: list[int]
    """Its processes, the one that answers first."""
    name: str
    """That of its command."""
    model_dir: str
    """Where the worker finds the model's folder; elsewhere it may lie in another place."""

    @property
    def lost_rank(self) -> int | None:
        """Which of several processes ended first; None if there is one only, or all are there."""

    async def died_of_kill(self) -> bool:
        """Whether SIGKILL ended it, as the system does when memory is short; waits a moment."""

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


class Launchers:
    """Several launchers as one: each command goes to the one it names."""

    def __init__(self, named: Mapping[str, Launcher]) -> None:
        self.named = dict(named)

    async def launch(self, command: WorkerCommand) -> Worker:
        """See Launcher. A name that no launcher has is a WorkerStartFailed too."""
        launcher = self.named.get(command.launcher)
        if launcher is None:
            raise WorkerStartFailed(
                f"{command.name} wants the launcher {command.launcher!r}; this server has "
                f"{', '.join(sorted(self.named))}"
            )
        return await launcher.launch(command)

    async def close(self) -> None:
        """Close all of them."""
        for launcher in self.named.values():
            await launcher.close()
