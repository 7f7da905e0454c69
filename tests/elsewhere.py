"""A launcher as one for other machines would be: its workers share nothing with the server.

No descriptor is inherited, the model's folder is another one, and the worker calls over TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.errors import WorkerStartFailed
from flambeau.supervision.door import Door
from flambeau.supervision.output import OutputPipes
from flambeau.supervision.process import KILL_WAIT, adopt, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.supervision.launcher import WorkerCommand
    from flambeau.supervision.process import LocalWorker


class CallingLauncher:
    """Starts programs that call the server's door."""

    def __init__(self, sink: Callable[[str, str, str], None]) -> None:
        self.door = Door()
        self._sink = sink
        self._folder = Path(tempfile.mkdtemp(prefix="elsewhere-"))
        self._copies = 0

    async def launch(self, command: WorkerCommand) -> LocalWorker:
        """See Launcher."""
        there = self._there(command)
        with self.door.invite(command.name) as invitation:
            output = OutputPipes(command.name, self._sink)
            try:
                process = _started(there, invitation.address, output)
            except OSError as error:
                output.close()
                raise WorkerStartFailed(f"no process for {command.name}: {error}") from error
            finally:
                output.give_away()
            exited = watch(process)
            calling = asyncio.ensure_future(invitation.caller())
            try:
                process.stdin.write(invitation.token.encode() + b"\n")
                process.stdin.close()
                connection = await _first(calling, exited, command.name)
            except BaseException:
                calling.cancel()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.wait({exited}, timeout=KILL_WAIT)
                output.close()
                raise
            return await adopt(there, process.pid, exited, connection, output)

    async def close(self) -> None:
        """See Launcher."""
        await self.door.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _there(self, command: WorkerCommand) -> WorkerCommand:
        """The command with the folder it has elsewhere."""
        self._copies += 1
        model_dir = self._folder / str(self._copies)
        shutil.copytree(command.model_dir, model_dir)
        path = command.environment.get("PYTHONPATH", "").split(os.pathsep)
        here = str(command.model_dir.resolve())
        moved = os.pathsep.join(str(model_dir) if entry == here else entry for entry in path)
        return replace(
            command,
            model_dir=model_dir,
            environment={**command.environment, "PYTHONPATH": moved},
        )


async def _first(
    calling: asyncio.Future[socket.socket], exited: asyncio.Future[int], name: str
) -> socket.socket:
    """The worker's connection; raises WorkerStartFailed if it ends before it has called."""
    await asyncio.wait({calling, exited}, return_when=asyncio.FIRST_COMPLETED)
    if not calling.done():
        raise WorkerStartFailed(f"{name} ended before it called")
    return calling.result()


def _started(command: WorkerCommand, address: str, output: OutputPipes) -> subprocess.Popen[bytes]:
    out, err = output.writers
    return subprocess.Popen(
        [command.python or sys.executable, "-u", "-m", "flambeau.worker", "--connect", address],
        env=command.environment,
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=err,
    )
