"""How versions come and go: fetched, added, started, and ended without leaving anything behind.

The plane decides what is to happen; this carries it out. Changes to one name are made one after
the other (``turn``), so that two registrations cannot both win. A change goes on to its end even
when whoever asked for it has gone.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from flambeau.control.model import ModelVersion, Workshop
from flambeau.control.readiness import Readiness
from flambeau.control.registry import Registry
from flambeau.control.spec import Defaults, settle
from flambeau.errors import (
    DefaultVersionInUse,
    ShuttingDown,
    Unavailable,
    WorkerStartFailed,
)
from flambeau.versions.rows import NOTHING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from flambeau.archive.store import ModelFiles, ModelStore
    from flambeau.control.requests import RegisterModel
    from flambeau.control.spec import ModelSpec
    from flambeau.metrics.registry import Metrics
    from flambeau.supervision.slot import Slot
    from flambeau.versions.rows import Given

STOP_WAIT = 5.0
"""Seconds that changes under way get to undo themselves when the server stops."""

T = TypeVar("T")


class Terms(NamedTuple):
    """Under which terms a version is registered."""

    at_startup: bool = False
    trusted: bool = False
    """The operator named it: folders anywhere may be registered."""
    default_name: str = ""
    """For archives that do not name their model."""
    pinned: Given = NOTHING
    """Values that beat all others: those of a snapshot."""


BY_REQUEST = Terms()


class Lifecycle:
    """The versions that are, and those that are on their way out."""

    def __init__(
        self, store: ModelStore, workshop: Workshop, metrics: Metrics, defaults: Defaults
    ) -> None:
        self.registry = Registry()
        self.readiness = Readiness(self.registry)
        self.stopping = False
        self.store = store
        self._workshop = workshop
        self._metrics = metrics
        self._defaults = defaults
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing: dict[ModelVersion, asyncio.Event] = {}
        """Versions that end, and are no longer in the registry; set when they are gone."""

    async def register(self, request: RegisterModel, terms: Terms = BY_REQUEST) -> ModelVersion:
        """A new version with its workers started, or ready if ``request`` is synchronous.

        A failure at any step undoes the earlier ones: nothing stays behind.
        """
        async with AsyncExitStack() as undo:
            files = await self._fetch(request, trusted=terms.trusted)
            undo.push_async_callback(self._discard, files)
            spec = settle(
                request,
                files,
                self._defaults,
                at_startup=terms.at_startup,
                default_name=terms.default_name,
                pinned=terms.pinned,
            )
            await self._gone(spec.name, spec.version)
            async with self.turn(spec.name):
                version = await self._add(spec, files)
                undo.pop_all()
            if terms.trusted:
                self.readiness.promise(spec.name, spec.version)
            undo.push_async_callback(self._withdraw, version)
            slots = version.scale(spec.min_workers, spec.max_workers)
            if request.synchronous:
                await loaded(version, slots)
            undo.pop_all()
            return version

    async def close(
        self, version: ModelVersion, error: Unavailable, grace: float, *, forget: bool = False
    ) -> None:
        """End ``version``; ``forget`` deletes its download.

        Running jobs may take ``grace`` seconds. A second call may cut the first short.
        """
        gone = self._closing.get(version)
        if gone is not None:
            await version.close(error, grace)
            await gone.wait()
            return
        gone = self._closing[version] = asyncio.Event()
        try:
            await version.close(error, grace)
            if forget:
                await asyncio.to_thread(self.store.forget_download, version.files)
        finally:
            self._metrics.forget(version.spec.name, version.spec.version)
            del self._closing[version]
            gone.set()

    async def carry_out(self, change: Coroutine[Any, Any, T]) -> T:
        """Do ``change`` to its end, even if the caller is cancelled: half done would be worse."""
        task = asyncio.create_task(change)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """One change to ``name`` at a time."""
        lock = self._turns.get(name)
        if lock is None:
            lock = self._turns[name] = asyncio.Lock()
        async with lock:
            yield

    async def stop(self, limit: float) -> None:
        """Let everything accepted be answered, for at most ``limit`` seconds, then end all."""
        self.stopping = True
        versions = [*self.registry, *self._closing]
        idle = [asyncio.ensure_future(version.idle()) for version in versions]
        if idle:
            _, late = await asyncio.wait(idle, timeout=limit)
            for one in late:
                one.cancel()
        error = ShuttingDown("The server is stopping.")
        await asyncio.gather(*(self.close(version, error, 0.0) for version in versions))
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=STOP_WAIT)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    # -- the steps of a registration, and their undoing

    async def _fetch(self, request: RegisterModel, *, trusted: bool) -> ModelFiles:
        def fetch() -> ModelFiles:
            return self.store.fetch(
                request.url or "",
                s3_sse_kms=request.s3_sse_kms,
                sha256=request.sha256 or None,
                trusted=trusted,
            )

        return await asyncio.to_thread(fetch)

    async def _discard(self, files: ModelFiles) -> None:
        await asyncio.to_thread(files.discard)
        await asyncio.to_thread(self.store.forget_download, files)

    async def _add(self, spec: ModelSpec, files: ModelFiles) -> ModelVersion:
        self.registry.refuse_known(spec.name, spec.version)
        metrics = self._metrics.model(spec.name, spec.version)
        version = ModelVersion(spec, files, self._workshop, metrics)
        if self.stopping:
            raise ShuttingDown("The server is stopping and registers no more models.")
        self.registry.add(version)
        return version

    async def _withdraw(self, version: ModelVersion) -> None:
        """Undo an ``_add`` whose workers could not be started."""
        try:
            self.registry.remove(version)
        except DefaultVersionInUse:
            # Another version came in between: it takes over, since this one never served.
            others = self.registry.versions(version.spec.name)
            heir = next(v for v in others if v is not version)
            self.registry.set_default(version.spec.name, heir.spec.version)
            self.registry.remove(version)
        error = Unavailable(f'Model "{version.spec.name}" could not be started.')
        await self.close(version, error, 0.0, forget=True)

    async def _gone(self, name: str, version: str) -> None:
        """Returns when no version of that name and number is still ending."""
        for other, gone in list(self._closing.items()):
            if (other.spec.name, other.spec.version) == (name, version):
                await gone.wait()


async def loaded(version: ModelVersion, slots: list[Slot]) -> None:
    """Wait until all ``slots`` are ready; the first failure ends the wait.

    Raises WorkerStartFailed, ending with the root cause.
    """
    if not slots:
        return
    done, _ = await asyncio.wait(
        [slot.loaded for slot in slots], return_when=asyncio.FIRST_EXCEPTION
    )
    for outcome in done:
        error = outcome.exception()
        if error is not None:
            raise WorkerStartFailed(
                f"Failed to start workers for model {version.spec.name} "
                f"version: {version.spec.version}: {error}",
                out_of_memory=isinstance(error, WorkerStartFailed) and error.out_of_memory,
            )
