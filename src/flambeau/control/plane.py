"""The operations of the server; both faces, start-up and snapshots call these.

Changes to one name are made one after the other (``_turn``), so that two registrations cannot
both win; nothing here ever blocks the event loop or another name. A change goes on to its end even
when whoever asked for it has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from flambeau.control.customized import ask_handler
from flambeau.control.describe import describe
from flambeau.control.model import ModelVersion, Workshop
from flambeau.control.readiness import Lack, Readiness
from flambeau.control.registry import Registry
from flambeau.control.requests import RegisterModel
from flambeau.control.snapshot import pictured
from flambeau.control.spec import NOTHING, Defaults, not_negative, positive, settle
from flambeau.control.views import ModelPage, ModelSummary, Outcome, StatusView
from flambeau.errors import (
    BadRequest,
    DefaultVersionInUse,
    FlambeauError,
    MethodNotAllowed,
    ModelVersionNotFound,
    ShuttingDown,
    Unavailable,
    WorkerStartFailed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from flambeau.archive.store import ModelFiles, ModelStore, StartupEntry
    from flambeau.control.requests import (
        DescribeModel,
        ListModels,
        ScaleWorkers,
        SetDefaultVersion,
        UnregisterModel,
    )
    from flambeau.control.snapshot import SavedVersion, SnapshotWriter
    from flambeau.control.spec import ModelSpec, VersionDefaults
    from flambeau.control.views import ModelDescription
    from flambeau.jobs.job import Job
    from flambeau.metrics.registry import Metrics
    from flambeau.supervision.slot import Slot

logger = logging.getLogger("flambeau.control")

PROCESSING = Outcome(accepted=True, view=StatusView("Processing worker updates..."))
LONGEST_PAGE = 100
STOP_WAIT = 5.0
"""Seconds that changes under way get to undo themselves when the server stops."""

T = TypeVar("T")


class ControlPlane:
    """What is registered, and everything that can be done to it."""

    def __init__(
        self,
        store: ModelStore,
        workshop: Workshop,
        metrics: Metrics,
        defaults: Defaults,
        *,
        model_api: bool = False,
        unregister_timeout: float = 120.0,
        gpu_usage: Callable[[int], str] = str,
        snapshots: SnapshotWriter | None = None,
    ) -> None:
        self.model_api_enabled = model_api
        self._store = store
        self._workshop = workshop
        self._metrics = metrics
        self._defaults = defaults
        self._unregister_timeout = unregister_timeout
        self._gpu_usage = gpu_usage
        self._snapshots = snapshots
        self._saving = asyncio.Lock()
        self._registry = Registry()
        self.readiness = Readiness(self._registry)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing: dict[ModelVersion, asyncio.Event] = {}
        """Versions that end, and are no longer in the registry; set when they are gone."""
        self._stopping = False

    # -- jobs

    def submit(self, name: str, version: str | None, job: Job) -> None:
        """Queue ``job`` for a version; its answer comes through ``job.on_answer``.

        Raises ModelNotFound, ModelVersionNotFound, or one of the Unavailable errors.
        """
        if version is not None:
            job.version_given = True
        self._registry.find(name, version).accept(job)

    # -- what is there

    def list_models(self, request: ListModels) -> ModelPage:
        """One page of names with the url of their default versions, in code-point order."""
        limit = request.limit if 0 <= request.limit <= LONGEST_PAGE else LONGEST_PAGE
        start = max(0, request.next_page_token)
        names = self._registry.names()
        end = start + limit
        page = names[start:end]
        return ModelPage(
            next_page_token=str(end) if end <= len(names) else None,
            models=[ModelSummary(name, self._registry.find(name).spec.url) for name in page],
        )

    async def describe(
        self, request: DescribeModel, headers: Sequence[tuple[str, str]] = ()
    ) -> list[ModelDescription]:
        """The default version, the named one, or all of a model.

        ``headers`` are the client's: a handler that is asked to describe itself sees them.
        """
        if request.all_versions:
            found = self._registry.versions(request.model_name)
        else:
            found = [self._registry.find(request.model_name, request.model_version)]
        views = [describe(version, self._gpu_usage) for version in found]
        if request.customized and not request.all_versions:
            return [await ask_handler(found[0], views[0], headers)]
        return views

    def healthy(self) -> bool:
        """What /ping says: every default version has its minimum of healthy workers."""
        return all(
            version.healthy_workers >= version.min_workers for version in self._registry.defaults()
        )

    def lacking(self) -> list[Lack]:
        """What /readyz says: the start-up models that cannot serve now; none when all is well."""
        if self._stopping:
            return [Lack("the server", "it is stopping")]
        return self.readiness.lacking()

    def ready(self) -> bool:
        """Whether every start-up model has a worker that has answered within the last second."""
        return not self.lacking()

    def model_ready(self, name: str, version: str | None = None) -> bool:
        """Whether a version - the default one unless named - has a worker that takes jobs.

        Raises ModelNotFound or ModelVersionNotFound.
        """
        return self._registry.find(name, version).dispatcher.ready > 0

    def names(self) -> list[str]:
        """The names of all registered models, in code-point order."""
        return self._registry.names()

    def versions(self, name: str) -> list[str]:
        """Every registered version of a model, the default one first. Raises ModelNotFound."""
        default = self._registry.find(name).spec.version
        others = [each.spec.version for each in self._registry.versions(name)]
        return [default, *(each for each in others if each != default)]

    def sole_startup_model(self) -> str | None:
        """The only model loaded at start-up; None when there were none or several."""
        names = {v.spec.name for v in self._registry if v.spec.loaded_at_startup}
        return names.pop() if len(names) == 1 else None

    # -- changes

    async def register(self, request: RegisterModel) -> Outcome:
        """Fetch, unpack and register one version, and start its workers.

        A failure at any step undoes the earlier ones: nothing stays behind.
        """
        if not self.model_api_enabled:
            raise MethodNotAllowed
        if self._stopping:
            raise ShuttingDown("The server is stopping and registers no more models.")
        if request.url is None:
            raise BadRequest("Parameter url is required.")
        outcome = await self._carry_out(self._register(request))
        self.readiness.came(request.url)
        await self.save("snapshot")
        return outcome

    async def _register(
        self,
        request: RegisterModel,
        *,
        at_startup: bool = False,
        trusted: bool = False,
        default_name: str = "",
        pinned: VersionDefaults = NOTHING,
    ) -> Outcome:
        """The steps of a registration.

        ``trusted`` lifts the walls around folders, ``default_name`` is for archives that do not
        name their model, ``pinned`` values beat all others.
        """
        async with AsyncExitStack() as undo:
            files = await self._fetch(request, trusted=trusted)
            undo.push_async_callback(self._discard, files)
            spec = settle(
                request,
                files,
                self._defaults,
                at_startup=at_startup,
                default_name=default_name,
                pinned=pinned,
            )
            await self._gone(spec.name, spec.version)
            async with self._turn(spec.name):
                version = await self._add(spec, files)
                undo.pop_all()
            if trusted:
                self.readiness.promise(spec.name, spec.version)
            undo.push_async_callback(self._withdraw, version)
            slots = version.scale(spec.min_workers, spec.max_workers)
            outcome = await self._settled(version, request, slots)
            undo.pop_all()
            return outcome

    async def scale(self, request: ScaleWorkers) -> Outcome:
        """Change the number of workers of a live version, its batching, or both."""
        batch_size = positive("batch_size", request.batch_size)
        delay = request.max_batch_delay
        if delay is not None:
            delay = not_negative("max_batch_delay", delay)
        least, most = request.min_worker, request.max_worker
        if least is not None or most is not None or (batch_size is None and delay is None):
            least = 1 if least is None else not_negative("min_worker", least)
            most = least if most is None else most
            if most < least:
                raise BadRequest("max_worker cannot be less than min_worker.")
        grace = None if request.timeout < 0 else float(request.timeout)
        async with self._turn(request.model_name):
            version = self._registry.find(request.model_name, request.model_version)
            if batch_size is not None or delay is not None:
                version.rebatch(batch_size, delay)
            if least is None or most is None:
                least, most = version.min_workers, version.max_workers
            slots = version.scale(least, most, grace)
        await self.save("snapshot")
        if not request.synchronous:
            return PROCESSING
        await self._loaded(version, slots)
        await version.left()
        named = f", version: {request.model_version}" if request.model_version else ""
        return _done(f"Workers scaled to {least} for model: {request.model_name}{named}")

    async def unregister(self, request: UnregisterModel) -> Outcome:
        """Remove one version: refuse new requests, answer the waiting, finish the running."""
        if not self.model_api_enabled:
            raise MethodNotAllowed
        version = self._registry.find(request.model_name, request.model_version)
        self._registry.remove(version)
        error = Unavailable(f'Model "{request.model_name}" was unregistered.')
        await self._carry_out(self._close(version, error, self._unregister_timeout, forget=True))
        await self.save("snapshot")
        return _done(f'Model "{request.model_name}" unregistered')

    async def set_default(self, request: SetDefaultVersion) -> Outcome:
        """Make a version the one that answers when none is named."""
        name, version = request.model_name, request.model_version
        self._registry.set_default(name, version)
        await self.save("snapshot")
        return _done(f'Default version successfully updated for model "{name}" to "{version}"')

    def startup_entries(self, load_models: str) -> list[StartupEntry]:
        """The models that the setting ``load_models`` names."""
        return self._store.startup_entries(load_models)

    async def load_at_startup(self, entry: StartupEntry) -> bool:
        """Register one start-up model; a failure is logged and the others go on."""
        request = RegisterModel(url=entry.url, model_name=entry.name, synchronous=False)
        try:
            await self._register(
                request, at_startup=True, trusted=True, default_name=entry.default_name
            )
        except FlambeauError as error:
            logger.warning("Failed to load model: %s: %s", entry.url, error.message)
            self.readiness.failed(entry.url, error.message)
            return False
        return True

    async def restore(self, saved: SavedVersion) -> None:
        """Register one version as a snapshot holds it.

        Raises what a registration raises; the other versions are not touched.
        """
        request = RegisterModel(url=saved.archive, model_name=saved.name, synchronous=False)
        await self._register(request, trusted=True, pinned=saved.values)
        if saved.default:
            with contextlib.suppress(ModelVersionNotFound):
                self._registry.set_default(saved.name, saved.version)

    async def save(self, occasion: str) -> None:
        """Write a snapshot; a disk that is full is logged and stops nothing."""
        if self._snapshots is None:
            return
        async with self._saving:
            try:
                await asyncio.to_thread(self._snapshots.write, occasion, pictured(self._registry))
            except OSError as error:
                # The disk is at fault: a traceback of ours says nothing.
                logger.error("the snapshot could not be written: %s", error)  # noqa: TRY400

    def holds(self, archive: str) -> bool:
        """Whether the model store has ``archive``."""
        return (self._store.folder / archive).exists()

    def worker_pids(self) -> list[int]:
        """Process ids of all running workers."""
        return [
            slot.worker.pid
            for version in self._registry
            for slot in version.slots
            if slot.worker is not None
        ]

    async def stop(self, limit: float) -> None:
        """Let everything accepted be answered, for at most ``limit`` seconds, then end all."""
        self._stopping = True
        versions = [*self._registry, *self._closing]
        idle = [asyncio.ensure_future(version.idle()) for version in versions]
        if idle:
            _, late = await asyncio.wait(idle, timeout=limit)
            for one in late:
                one.cancel()
        error = ShuttingDown("The server is stopping.")
        await asyncio.gather(*(self._close(version, error, 0.0) for version in versions))
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=STOP_WAIT)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    # -- the steps of a registration

    async def _fetch(self, request: RegisterModel, *, trusted: bool) -> ModelFiles:
        def fetch() -> ModelFiles:
            return self._store.fetch(
                request.url or "",
                s3_sse_kms=request.s3_sse_kms,
                sha256=request.sha256,
                trusted=trusted,
            )

        return await asyncio.to_thread(fetch)

    async def _discard(self, files: ModelFiles) -> None:
        await asyncio.to_thread(files.discard)
        await asyncio.to_thread(self._store.forget_download, files)

    async def _add(self, spec: ModelSpec, files: ModelFiles) -> ModelVersion:
        self._registry.refuse_known(spec.name, spec.version)
        metrics = self._metrics.model(spec.name, spec.version)
        version = ModelVersion(spec, files, self._workshop, metrics)
        await version.prepare()
        if self._stopping:
            raise ShuttingDown("The server is stopping and registers no more models.")
        self._registry.add(version)
        return version

    async def _withdraw(self, version: ModelVersion) -> None:
        """Undo an ``_add`` whose workers could not be started."""
        try:
            self._registry.remove(version)
        except DefaultVersionInUse:
            # Another version came in between: it takes over, since this one never served.
            others = self._registry.versions(version.spec.name)
            heir = next(v for v in others if v is not version)
            self._registry.set_default(version.spec.name, heir.spec.version)
            self._registry.remove(version)
        error = Unavailable(f'Model "{version.spec.name}" could not be started.')
        await self._close(version, error, 0.0, forget=True)

    async def _settled(
        self, version: ModelVersion, request: RegisterModel, slots: list[Slot]
    ) -> Outcome:
        spec = version.spec
        if not slots:
            return _done(
                f'Model "{spec.name}" Version: {spec.version} registered with 0 initial workers. '
                "Use scale workers API to add workers for the model."
            )
        if not request.synchronous:
            return PROCESSING
        await self._loaded(version, slots)
        return _done(
            f'Model "{spec.name}" Version: {spec.version} registered with '
            f"{spec.min_workers} initial workers"
        )

    async def _loaded(self, version: ModelVersion, slots: list[Slot]) -> None:
        """Wait until all ``slots`` are ready; the first failure ends the wait.

        Raises WorkerStartFailed, ending with the root cause.
        """
        if not slots:
            return
        done, _ = await asyncio.wait(
            [slot.loaded for slot in slots], return_when=asyncio.FIRST_EXCEPTION
        )
        for loaded in done:
            error = loaded.exception()
            if error is not None:
                raise WorkerStartFailed(
                    f"Failed to start workers for model {version.spec.name} "
                    f"version: {version.spec.version}: {error}",
                    out_of_memory=isinstance(error, WorkerStartFailed) and error.out_of_memory,
                )

    async def _close(
        self, version: ModelVersion, error: Unavailable, grace: float, *, forget: bool = False
    ) -> None:
        """End ``version``; ``forget`` deletes its download. A second call may cut the first short."""
        gone = self._closing.get(version)
        if gone is not None:
            await version.close(error, grace)
            await gone.wait()
            return
        gone = self._closing[version] = asyncio.Event()
        try:
            await version.close(error, grace)
            if forget:
                await asyncio.to_thread(self._store.forget_download, version.files)
        finally:
            self._metrics.forget(version.spec.name, version.spec.version)
            del self._closing[version]
            gone.set()

    async def _gone(self, name: str, version: str) -> None:
        """Returns when no version of that name and number is still ending."""
        for other, gone in list(self._closing.items()):
            if (other.spec.name, other.spec.version) == (name, version):
                await gone.wait()

    async def _carry_out(self, change: Coroutine[Any, Any, T]) -> T:
        """Do ``change`` to its end, even if the caller is cancelled: half done would be worse."""
        task = asyncio.create_task(change)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """One change to ``name`` at a time."""
        lock = self._turns.get(name)
        if lock is None:
            lock = self._turns[name] = asyncio.Lock()
        async with lock:
            yield


def _done(text: str) -> Outcome:
    return Outcome(accepted=False, view=StatusView(text))
