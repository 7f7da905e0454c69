"""The life of one worker as one coroutine.

A slot is a place for a worker, with an id that survives restarts. ``run`` launches, loads,
serves and, when the worker dies, waits its turn and begins again; it returns when the slot was
told to stop. A crash is an exception in it, a scale-down a return from it. It never gives up: a
worker that cannot start is ``failed``, with its cause and the time of the next try, until the
cause is gone.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from flambeau.errors import FlambeauError, WorkerDied, WorkerStartFailed
from flambeau.supervision.state import Standing, State
from flambeau.transport.messages import Failed, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flambeau.metrics.model import ModelMetrics
    from flambeau.supervision.launcher import Launcher, Worker, WorkerCommand
    from flambeau.transport.messages import Load

logger = logging.getLogger("flambeau.supervision")

BACK_OFF = (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597)
"""Seconds before each new start, as measured on TorchServe; capped by ``retry_limit``."""
EXIT_GRACE = 5.0
"""Seconds a worker with nothing left to do may take to end by itself."""


class Slot:
    """One worker's place.

    ``loaded`` completes when the first worker is ready, or with the error of the first try.
    ``startup_timeout`` and ``retry_limit`` are in seconds. ``moved`` is called after every change
    of state.
    """

    def __init__(
        self,
        number: int,
        command: WorkerCommand,
        load: Load,
        launcher: Launcher,
        serve: Callable[[Worker, asyncio.Future[None]], Awaitable[None]],
        *,
        startup_timeout: float,
        retry_limit: float,
        metrics: ModelMetrics,
        moved: Callable[[Slot], None],
    ) -> None:
        self.number = number
        self.command = command
        self.load = load
        self.standing = Standing()
        self.started = datetime.now(UTC)
        self.worker: Worker | None = None
        self.loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.loaded.add_done_callback(_noticed)
        self._launcher = launcher
        self._serve = serve
        self._startup_timeout = startup_timeout
        self._retry_limit = retry_limit
        self._metrics = metrics
        self._moved = moved
        self._retire: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._poke = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Its worker has loaded the model and takes jobs."""
        return self.standing.state is State.READY

    @property
    def gpu_id(self) -> int | None:
        """The device this worker was given."""
        return self.load.gpu_id

    def start(self) -> None:
        """Begin its life as a task."""
        self._task = asyncio.create_task(self.run(), name=self.command.name)

    def retry_now(self) -> None:
        """Do not wait for the next try (the cause may be gone)."""
        self._poke.set()

    async def stop(self, grace: float | None) -> None:
        """End its life; returns when the process is gone.

        What the worker holds is finished within ``grace`` seconds, None for as long as it takes.
        """
        if self._task is None or self._task.done():
            return
        if not self._retire.done():
            self._move(State.STOPPING)
            self._retire.set_result(None)
        _, running = await asyncio.wait({self._task}, timeout=grace)
        if running:
            self._task.cancel()
            await asyncio.wait({self._task})
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    # -- the life

    async def run(self) -> None:
        """Launch, load, serve; on a failure wait and begin again; until told to stop."""
        self._metrics.worker_moved(None, State.STARTING)
        try:
            while not self._retire.done():
                error = await self._live()
                if error is not None:
                    await self._back_off(error)
        finally:
            self._end()

    async def _live(self) -> FlambeauError | None:
        """One worker, from launch to its end; what failed, unless it was told to stop.

        A failure is shown before the process is gone, so that nobody counts on it meanwhile.
        """
        launching = asyncio.ensure_future(self._launcher.launch(self.command))
        grace = 0.0
        try:
            if await self._served(launching):
                grace = EXIT_GRACE
        except FlambeauError as error:
            return self._fail(error)
        except Exception as error:
            logger.exception("%s: unexpected end", self.command.name)
            return self._fail(WorkerDied(str(error)))
        else:
            return None
        finally:
            await self._dismiss(launching, grace)

    async def _served(self, launching: asyncio.Future[Worker]) -> bool:
        """Load the model and feed the worker until it is told to go; False if it never was ready."""
        begun = monotonic()
        if not await self._before_retired(launching):
            return False
        self.worker = worker = launching.result()
        self._move(State.LOADING)
        loading = asyncio.ensure_future(self._load(worker))
        loading.add_done_callback(_noticed)
        try:
            if not await self._before_retired(loading):
                return False
            loading.result()
        finally:
            loading.cancel()
        self._move(State.READY)
        self._metrics.worker_loaded(self.command.name, monotonic() - begun)
        if not self.loaded.done():
            self.loaded.set_result(None)
        logger.info("%s ready, pid %d", self.command.name, worker.pids[0])
        try:
            await self._serve(worker, self._retire)
        except WorkerDied as error:
            if worker.lost_rank is None:
                raise
            raise WorkerDied(error.message + _rank(worker)) from error
        return True

    async def _dismiss(self, launching: asyncio.Future[Worker], grace: float) -> None:
        """See the worker to its end, even if cancelled meanwhile: then it is killed."""
        launching.cancel()
        ending = asyncio.ensure_future(_end_of(launching, grace))
        cancelled: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError as error:
                cancelled = error
                if self.worker is not None:
                    self.worker.kill()
        self.worker = None
        if (problem := ending.exception()) is not None:
            logger.error("%s: its end could not be seen to", self.command.name, exc_info=problem)
        if cancelled is not None:
            raise cancelled

    async def _load(self, worker: Worker) -> None:
        """Have the worker make the model ready.

        Raises WorkerStartFailed with the root cause.
        """
        self.load.model_dir = worker.model_dir
        try:
            answer = await asyncio.wait_for(
                worker.channel.ask(self.load, Kind.LOADED, Kind.FAILED), self._startup_timeout
            )
        except TimeoutError:
            raise WorkerStartFailed(
                f"the model did not load within {self._startup_timeout:g} s (startup_timeout)"
            ) from None
        except WorkerDied:
            killed = await worker.died_of_kill()
            raise WorkerStartFailed(
                f"the worker process{_rank(worker)} was killed while loading"
                if killed
                else f"the worker process{_rank(worker)} ended while loading",
                out_of_memory=killed,
            ) from None
        if isinstance(answer, Failed):
            where = f" ({answer.where})" if answer.where else ""
            raise WorkerStartFailed(answer.cause + where, out_of_memory=answer.out_of_memory)

    async def _before_retired(self, work: asyncio.Future[Any]) -> bool:
        """Whether ``work`` is done before the slot is told to stop; returns with the first."""
        waits: set[asyncio.Future[Any]] = {work, self._retire}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return not self._retire.done()

    def _fail(self, error: FlambeauError) -> FlambeauError | None:
        """Show the failure and the time of the next try; None if there is to be none."""
        if self._retire.done():
            logger.info("%s ended while it was being stopped: %s", self.command.name, error.message)
            return None
        delay = float(min(BACK_OFF[min(self.standing.tries, len(BACK_OFF) - 1)], self._retry_limit))
        before = self.standing.state
        self._poke.clear()
        self.standing.fail(error.message, datetime.now(UTC) + timedelta(seconds=delay))
        self._metrics.worker_moved(before, State.FAILED)
        self._moved(self)
        logger.warning(
            "%s failed (try %d): %s; next try in %g s",
            self.command.name,
            self.standing.tries,
            error.message,
            delay,
        )
        return error

    async def _back_off(self, error: FlambeauError) -> None:
        """Tell who waits for the first load, then sleep until the next try, a poke, or the end."""
        if not self.loaded.done():
            self.loaded.set_exception(error)
        next_try = self.standing.next_try or datetime.now(UTC)
        delay = max(0.0, (next_try - datetime.now(UTC)).total_seconds())
        poke = asyncio.ensure_future(self._poke.wait())
        waits: set[asyncio.Future[Any]] = {poke, self._retire}
        try:
            await asyncio.wait(waits, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        finally:
            poke.cancel()
        if not self._retire.done():
            self._move(State.STARTING)
            self._metrics.worker_restarted()

    def _move(self, state: State) -> None:
        before = self.standing.state
        self.standing.move(state)
        self._metrics.worker_moved(before, state if state is not State.STOPPED else None)
        self._moved(self)

    def _end(self) -> None:
        if self.standing.state is not State.STOPPING:
            self._move(State.STOPPING)
        self._move(State.STOPPED)
        self._metrics.worker_gone(self.command.name)
        if not self.loaded.done():
            self.loaded.set_exception(WorkerStartFailed("the worker was stopped while it loaded"))


def _rank(worker: Worker) -> str:
    """Which of a worker's processes was lost, if it has several."""
    return "" if worker.lost_rank is None else f" (rank {worker.lost_rank})"


async def _end_of(launching: asyncio.Future[Worker], grace: float) -> None:
    """Returns when there is no process, or no more."""
    await asyncio.wait({launching})
    if not launching.cancelled() and launching.exception() is None:
        await launching.result().stop(grace)


def _noticed(loaded: asyncio.Future[None]) -> None:
    """Nobody has to wait for ``loaded``: its error is shown by describe and in the log."""
    if not loaded.cancelled():
        loaded.exception()
