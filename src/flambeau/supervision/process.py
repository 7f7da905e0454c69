"""Workers as processes of this machine: started, watched, stopped, killed.

``LocalWorker`` is one of them, however it was started. ``SpawnLauncher`` starts a fresh
interpreter for each worker, by module name; ``supervision.templates`` forks them. Both only
start processes from the event loop's thread: the kernel ties a child to the thread that made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.errors import WorkerStartFailed
from flambeau.supervision.channel import Channel, connect
from flambeau.supervision.output import OutputPipes
from flambeau.supervision.ranks import RankedChannel, RankedWorker
from flambeau.transport.messages import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flambeau.supervision.launcher import WorkerCommand
    from flambeau.supervision.output import LineSink

VISIBLE = "CUDA_VISIBLE_DEVICES"
REAP_WAIT = 0.03
"""Seconds to wait for an exit status once the socket is gone; requests wait this long too."""
KILL_WAIT = 10.0
"""Seconds the system may take to end a killed process."""
LAST_WORDS = 0.25
"""Seconds after its end in which what a worker has sent and printed is still read."""


class LocalWorker:
    """One worker process and the channel to it.

    ``exited`` holds its exit code, negative for a signal.
    """

    lost_rank = None

    def __init__(
        self,
        command: WorkerCommand,
        pid: int,
        channel: Channel,
        exited: asyncio.Future[int],
        output: OutputPipes,
    ) -> None:
        self.name = command.name
        self.model_dir = str(command.model_dir)
        self.pids = [pid]
        self.channel = channel
        self.exited = exited
        self._output = output

    async def died_of_kill(self) -> bool:
        """See Worker."""
        with contextlib.suppress(TimeoutError):
            code = await asyncio.wait_for(asyncio.shield(self.exited), REAP_WAIT)
            return code == -signal.SIGKILL
        return False

    async def stop(self, grace: float) -> None:
        """See Worker."""
        if grace > 0 and not self.exited.done():
            self.channel.send(Stop())
            await asyncio.wait({self.exited}, timeout=grace)
        self.kill()
        await asyncio.wait({self.exited}, timeout=KILL_WAIT)
        await asyncio.wait({self._output.ended}, timeout=LAST_WORDS)
        self.let_go()

    def let_go(self) -> None:
        """Close what ties it to the server, even if a child of its own holds the other ends."""
        self.channel.close()
        self._output.close()

    def kill(self) -> None:
        """See Worker."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pids[0], signal.SIGKILL)

    def resident_bytes(self) -> int:
        """See Worker."""
        try:
            fields = Path(f"/proc/{self.pids[0]}/statm").read_bytes().split()
            return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError, ValueError):
            return 0


class SpawnLauncher:
    """Starts each worker as a fresh interpreter, or as several: one for each rank."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink

    async def launch(self, command: WorkerCommand) -> LocalWorker | RankedWorker:
        """See Launcher."""
        if command.ranks == 1:
            return await self._start(command, command.environment, Channel)
        started: list[LocalWorker] = []
        try:
            for rank in range(1, command.ranks):
                other = await self._start(command, _of_rank(command, rank), Channel)
                started.append(other)  # at once: the next one may fail
            others = [worker.channel for worker in started]
            channel = RankedChannel(others, jobs_to_all=command.jobs_to_all)
            first = await self._start(command, _of_rank(command, 0), lambda: channel)
        except BaseException:
            await asyncio.gather(*(worker.stop(0) for worker in started))
            raise
        return RankedWorker(channel, [first, *started])

    async def _start(
        self,
        command: WorkerCommand,
        environment: Mapping[str, str],
        channel: Callable[[], Channel],
    ) -> LocalWorker:
        """One process."""
        if command.devices:
            environment = {**environment, VISIBLE: ",".join(map(str, command.devices))}
        ours, theirs = socket.socketpair()
        output = OutputPipes(command.name, self._sink)
        try:
            process = spawn(
                [command.python or sys.executable, "-u", "-m", "flambeau.worker"],
                theirs,
                environment,
                output.writers,
            )
        except OSError as error:
            ours.close()
            output.close()
            raise WorkerStartFailed(f"no process for {command.name}: {error}") from error
        finally:
            theirs.close()
            output.give_away()
        return await adopt(command, process.pid, watch(process), ours, output, channel=channel)

    async def close(self) -> None:
        """Nothing is kept between workers."""


def _of_rank(command: WorkerCommand, rank: int) -> dict[str, str]:
    size = str(command.ranks)
    return {
        **command.environment,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
    }


async def adopt(
    command: WorkerCommand,
    pid: int,
    exited: asyncio.Future[int],
    ours: socket.socket,
    output: OutputPipes,
    *,
    channel: Callable[[], Channel] = Channel,
) -> LocalWorker:
    """The worker that has just been started, its output followed, over the connection ``ours``.

    Cancelled, it ends the process.
    """
    try:
        output.follow()
        worker = LocalWorker(command, pid, await connect(ours, channel), exited, output)
    except BaseException:
        ours.close()
        output.close()
        if not exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            await asyncio.wait({exited}, timeout=KILL_WAIT)
        raise
    loop = asyncio.get_running_loop()
    exited.add_done_callback(lambda _: loop.call_later(LAST_WORDS, worker.let_go))
    return worker


def spawn(
    argv: list[str],
    theirs: socket.socket,
    environment: Mapping[str, str],
    streams: list[int] | None = None,
    arguments: list[str] | None = None,
) -> subprocess.Popen[bytes]:
    """A child that gets ``theirs`` and our pid as arguments, and ``streams`` as its output.

    Raises OSError when it cannot be started.
    """
    out, err = streams or (None, None)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [*argv, str(theirs.fileno()), str(os.getpid()), *(arguments or [])],
        pass_fds=(theirs.fileno(),),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
    )


def watch(process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """The exit code of a child, once it has one; the child is reaped."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()
    descriptor = os.pidfd_open(process.pid)

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        code = process.wait()
        if not exited.done():
            exited.set_result(code)

    loop.add_reader(descriptor, ended)
    return exited
