"""Workers forked from template processes that have imported their libraries already.

One template serves all models that need the same libraries in the same environment: libraries
read variables when they are imported. Only the import path may differ, each worker sets its own.
A template is started with the first of these workers and ended a while after the last (``IDLE``).
Where forking is not safe - the template says so - or not possible, workers are started as fresh
interpreters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from flambeau.supervision.imports import FoundImports
from flambeau.supervision.output import OutputPipes
from flambeau.supervision.process import KILL_WAIT, LAST_WORDS, SpawnLauncher, adopt, spawn, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.supervision.environment import EnvironmentRule
    from flambeau.supervision.launcher import WorkerCommand
    from flambeau.supervision.output import LineSink
    from flambeau.supervision.process import LocalWorker
    from flambeau.supervision.ranks import RankedWorker

logger = logging.getLogger("flambeau.supervision")

IDLE = 60.0
"""Seconds a template is kept after its last worker ended."""
PRELOAD_WAIT = 120.0
"""Seconds the imports of a template may take."""
LONGEST_REPLY = 4096
IMPORT_PATH = "PYTHONPATH"


class TemplateGoneError(Exception):
    """The template process has ended."""


class Mould(NamedTuple):
    """What tells two templates apart."""

    modules: frozenset[str]
    """Imported ahead."""
    environment: frozenset[tuple[str, str]]
    """All variables but the import path."""


class Template:
    """One template process, the workers forked from it, and the control socket to it.

    ``import_path`` is the server's own: a template imports nothing of an archive.
    """

    def __init__(
        self, mould: Mould, import_path: str | None, left: Callable[[Template], None]
    ) -> None:
        self.mould = mould
        self._import_path = import_path
        self.unsafe = ""
        """Why it must not be forked; empty when it may."""
        self.idle: asyncio.TimerHandle | None = None
        self._left = left
        """Told when the last worker has ended."""
        self._workers: dict[int, asyncio.Future[int]] = {}
        self._turn = asyncio.Lock()
        self._forks: deque[asyncio.Future[tuple[int, asyncio.Future[int]]]] = deque()
        """Asked for, in this order, and not yet told; those nobody waits for any more too."""
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._gone = False

    async def start(self, sink: LineSink) -> None:
        """Start the process and wait until it has imported its modules.

        Raises OSError when there is no process, TimeoutError when the imports take too long; then,
        and when cancelled, nothing is left behind.
        """
        # Packets: a request to fork is read whole, with its descriptors, or not at all.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output = OutputPipes("W-template", sink)
        environment = dict(self.mould.environment)
        if self._import_path is not None:
            environment[IMPORT_PATH] = self._import_path
        try:
            process = spawn(
                [sys.executable, "-u", "-m", "flambeau.worker.template"],
                theirs,
                environment,
                output.writers,
                sorted(self.mould.modules),
            )
        except OSError:
            ours.close()
            output.close()
            raise
        finally:
            theirs.close()
            output.give_away()
        self.pid = process.pid
        self.exited = watch(process)
        ours.setblocking(False)
        self._control = ours
        self._output = output
        self._buffer = b""
        asyncio.get_running_loop().add_reader(ours, self._readable)
        try:
            output.follow()
            self.unsafe = await asyncio.wait_for(self._ready, PRELOAD_WAIT)
        except BaseException:
            output.close()
            self._kill()
            self._lost()
            await asyncio.wait({self.exited}, timeout=KILL_WAIT)
            raise

    async def fork(
        self, descriptors: list[int], import_path: str
    ) -> tuple[int, asyncio.Future[int]]:
        """The pid of a new worker that holds ``descriptors``, and its exit code to come.

        Raises TemplateGoneError when there is no process to fork. A worker that comes after the
        caller was cancelled finds its socket closed and ends.
        """
        async with self._turn:
            if self._gone:
                raise TemplateGoneError
            loop = asyncio.get_running_loop()
            forked: asyncio.Future[tuple[int, asyncio.Future[int]]] = loop.create_future()
            self._forks.append(forked)
            try:
                request = b"fork " + os.fsencode(import_path)
                socket.send_fds(self._control, [request], descriptors)
            except OSError as error:
                self._forks.remove(forked)
                raise TemplateGoneError from error
            return await forked

    @property
    def busy(self) -> bool:
        """Has workers, or is forking one."""
        return bool(self._workers or self._forks)

    async def close(self) -> None:
        """End the process; the kernel ends workers that are left."""
        if self.idle is not None:
            self.idle.cancel()
        self._kill()
        await self.exited
        await asyncio.wait({self._output.ended}, timeout=LAST_WORDS)
        self._output.close()
        self._lost()

    def _kill(self) -> None:
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _readable(self) -> None:
        try:
            data = self._control.recv(LONGEST_REPLY)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._told(line.decode())

    def _told(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word in ("ready", "unsafe") and not self._ready.done():
            self._ready.set_result(rest)
        elif word == "forked":
            pid, forked = int(rest), self._forks.popleft()
            self._workers[pid] = asyncio.get_running_loop().create_future()
            if not forked.done():
                forked.set_result((pid, self._workers[pid]))
        elif word == "ended":
            pid, code = map(int, rest.split())
            exited = self._workers.pop(pid, None)
            if exited is not None:  # else a child that some library started
                exited.set_result(code)
                if not self.busy:
                    self._left(self)

    def _lost(self) -> None:
        if self._gone:
            return
        self._gone = True
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        if not self._ready.done():
            self._ready.set_result("it ended while importing")
        for forked in self._forks:
            if not forked.done():
                forked.set_exception(TemplateGoneError())
        self._forks.clear()
        for exited in self._workers.values():
            exited.set_result(-signal.SIGKILL)
        self._workers.clear()

    @property
    def gone(self) -> bool:
        """The process has ended."""
        return self._gone


class ForkLauncher:
    """Forks workers from templates; falls back to fresh interpreters where it must."""

    def __init__(self, rule: EnvironmentRule, sink: LineSink) -> None:
        self._rule = rule
        self._sink = sink
        self._spawn = SpawnLauncher(sink)
        self._imports = FoundImports()
        self._templates: dict[Mould, Template] = {}
        self._unsafe: dict[Mould, str] = {}
        self._turns: WeakValueDictionary[Mould, asyncio.Lock] = WeakValueDictionary()
        self._closing: set[asyncio.Task[None]] = set()

    async def launch(self, command: WorkerCommand) -> LocalWorker | RankedWorker:
        """See Launcher."""
        if command.python not in {"", sys.executable} or command.ranks > 1 or command.devices:
            # Another interpreter, or variables that no other worker has: nothing to share.
            return await self._spawn.launch(command)
        template = await self._template(await self._mould(command))
        if template is None:
            return await self._spawn.launch(command)
        ours, theirs = socket.socketpair()
        output = OutputPipes(command.name, self._sink)
        try:
            pid, exited = await template.fork(
                [theirs.fileno(), *output.writers], command.environment.get(IMPORT_PATH, "")
            )
        except BaseException as error:
            ours.close()
            output.close()
            self._left(template)
            if not isinstance(error, TemplateGoneError):
                raise
            return await self._spawn.launch(command)
        finally:
            theirs.close()
            output.give_away()
        return await adopt(command, pid, exited, ours, output)

    async def close(self) -> None:
        """End all templates."""
        templates = list(self._templates.values())
        self._templates.clear()
        for template in templates:
            await template.close()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _mould(self, command: WorkerCommand) -> Mould:
        variables = {k: v for k, v in command.environment.items() if k != IMPORT_PATH}
        return Mould(await self._imports.of(command), frozenset(variables.items()))

    async def _template(self, mould: Mould) -> Template | None:
        """The template of ``mould``, started if need be; None when forking is not safe."""
        turn = self._turns.get(mould)
        if turn is None:
            turn = self._turns[mould] = asyncio.Lock()
        async with turn:
            if mould in self._unsafe:
                return None
            template = self._templates.get(mould)
            if template is None or template.gone:
                import_path = self._rule.inherited().get(IMPORT_PATH)
                template = Template(mould, import_path, self._left)
                try:
                    await template.start(self._sink)
                except TimeoutError:
                    template.unsafe = f"the imports took longer than {PRELOAD_WAIT:g} s"
                except OSError as error:
                    logger.warning("no process to fork workers from: %s", error)
                    return None
                if template.unsafe:
                    self._unsafe[mould] = template.unsafe
                    logger.warning(
                        "workers that import %s are started one by one: %s",
                        ", ".join(sorted(mould.modules)),
                        template.unsafe,
                    )
                    return None
                self._templates[mould] = template
            if template.idle is not None:
                template.idle.cancel()
                template.idle = None
            return template

    def _left(self, template: Template) -> None:
        """A worker of ``template`` has ended or never came; the last one leaves it idle."""
        if not template.busy and not template.gone:
            loop = asyncio.get_running_loop()
            if template.idle is not None:
                template.idle.cancel()
            template.idle = loop.call_later(IDLE, self._retire, template)

    def _retire(self, template: Template) -> None:
        if template.busy:
            return
        if self._templates.get(template.mould) is template:
            del self._templates[template.mould]
        closing = asyncio.ensure_future(template.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
