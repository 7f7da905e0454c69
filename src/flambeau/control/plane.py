"""The operations of the server; both faces, start-up and snapshots call these.

How versions come and go is in ``lifecycle``; here stands what may be asked, what it means, and
what it answers. Nothing here ever blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from flambeau.control.customized import ask_handler
from flambeau.control.describe import describe
from flambeau.control.lifecycle import Lifecycle, Terms, loaded
from flambeau.control.readiness import Lack
from flambeau.control.requests import RegisterModel
from flambeau.control.routing import Routing
from flambeau.control.snapshot import pictured
from flambeau.control.spec import asked, at_least, startable
from flambeau.control.views import ModelPage, ModelSummary, Outcome, StatusView
from flambeau.errors import (
    BadRequest,
    FlambeauError,
    ModelVersionNotFound,
    ShuttingDown,
    Unregistered,
)
from flambeau.versions.rows import given_in
from flambeau.versions.value import Form

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flambeau.archive.store import ModelStore, StartupEntry
    from flambeau.control.model import ModelVersion, Workshop
    from flambeau.control.requests import (
        DescribeModel,
        ListModels,
        ScaleWorkers,
        SetDefaultVersion,
        UnregisterModel,
    )
    from flambeau.control.snapshot import SavedVersion, WriteSnapshot
    from flambeau.control.spec import Defaults
    from flambeau.control.views import ModelDescription
    from flambeau.jobs.job import Job
    from flambeau.metrics.registry import Metrics

logger = logging.getLogger("flambeau.control")

PROCESSING = Outcome(accepted=True, view=StatusView("Processing worker updates..."))


class ControlPlane:
    """What is registered, and everything that can be done to it."""

    def __init__(
        self,
        store: ModelStore,
        workshop: Workshop,
        metrics: Metrics,
        defaults: Defaults,
        *,
        unregister_timeout: float = 120.0,
        gpu_usage: Callable[[int], str] = str,
        write_snapshot: WriteSnapshot | None = None,
    ) -> None:
        self._lives = Lifecycle(store, workshop, metrics, defaults)
        self._registry = self._lives.registry
        self.routing = Routing(self._registry)
        self._readiness = self._lives.readiness
        self._unregister_timeout = unregister_timeout
        self._gpu_usage = gpu_usage
        self._write_snapshot = write_snapshot
        self._saving = asyncio.Lock()

    # -- jobs

    def submit(self, name: str, version: str | None, job: Job) -> None:
        """Queue ``job`` for a version; its answer comes through ``job.on_answer``.

        Raises ModelNotFound, ModelVersionNotFound, or one of the Unavailable errors.
        """
        self.routing.pick(name, version, job).accept(job)

    # -- what is there

    def list_models(self, request: ListModels) -> ModelPage:
        """One page of names with the url of their default versions, in code-point order."""
        start, end = request.page
        names = self._registry.names()
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
        """What /ping says: every default version that is awake has its minimum of healthy workers."""
        return all(
            version.healthy_workers >= min(version.min_workers, version.wanted)
            for version in self._registry.defaults()
        )

    def lacking(self) -> list[Lack]:
        """What /readyz says: the start-up models that cannot serve now; none when all is well."""
        if self._lives.stopping:
            return [Lack("the server", "it is stopping")]
        return self._readiness.lacking()

    def ready(self) -> bool:
        """Whether every start-up model has a worker that has answered within the last second."""
        return not self.lacking()

    def model_ready(self, name: str, version: str | None = None) -> bool:
        """Whether a version - the default one unless named - has a worker that takes jobs, or will.

        Raises ModelNotFound or ModelVersionNotFound.
        """
        found = self._registry.find(name, version)
        return found.asleep or found.dispatcher.ready > 0

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
        if self._lives.stopping:
            raise ShuttingDown("The server is stopping and registers no more models.")
        if request.url is None:
            raise BadRequest("Parameter url is required.")
        version = await self._lives.carry_out(self._lives.register(request))
        self._readiness.came(request.url)
        await self.save("snapshot")
        return _registered(version, synchronous=request.synchronous)

    async def scale(self, request: ScaleWorkers) -> Outcome:
        """Change the number of workers of a live version, its batching, or both."""
        values, bounds = asked(Form.SCALE, request), _bounds(request)
        grace = None if request.timeout < 0 else float(request.timeout)
        async with self._lives.turn(request.model_name):
            version = self._registry.find(request.model_name, request.model_version)
            if values:
                version.change(values)
            slots = [] if bounds is None else version.scale(*bounds, grace)
        await self.save("snapshot")
        if not request.synchronous:
            return PROCESSING
        await loaded(version, slots)
        await version.left()
        named = f", version: {request.model_version}" if request.model_version else ""
        return _done(
            f"Workers scaled to {version.min_workers} for model: {request.model_name}{named}"
        )

    async def unregister(self, request: UnregisterModel) -> Outcome:
        """Remove one version: refuse new requests, answer the waiting, finish the running."""
        version = self._registry.find(request.model_name, request.model_version)
        self._registry.remove(version)
        error = Unregistered(f'Model "{request.model_name}" was unregistered.')
        await self._lives.carry_out(
            self._lives.close(version, error, self._unregister_timeout, forget=True)
        )
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
        return self._lives.store.startup_entries(load_models)

    async def load_at_startup(self, entry: StartupEntry) -> bool:
        """Register one start-up model; a failure is logged and the others go on."""
        request = RegisterModel(url=entry.url, model_name=entry.name, synchronous=False)
        try:
            terms = Terms(at_startup=True, trusted=True, default_name=entry.default_name)
            await self._lives.register(request, terms)
        except FlambeauError as error:
            logger.warning("Failed to load model: %s: %s", entry.url, error.message)
            self._readiness.failed(entry.url, error.message)
            return False
        return True

    async def restore(self, saved: SavedVersion) -> bool:
        """Register one version as a snapshot holds it; a failure is logged, the others go on."""
        request = RegisterModel(url=saved.archive, model_name=saved.name, synchronous=False)
        try:
            await self._lives.register(request, Terms(trusted=True, pinned=saved.values))
        except FlambeauError as error:
            logger.warning("Failed to restore %s %s: %s", saved.name, saved.version, error)
            self._readiness.failed(saved.archive, error.message)
            return False
        if saved.default:
            with contextlib.suppress(ModelVersionNotFound):
                self._registry.set_default(saved.name, saved.version)
        return True

    async def save(self, occasion: str) -> None:
        """Write a snapshot; a disk that is full is logged and stops nothing."""
        if self._write_snapshot is None:
            return
        async with self._saving:
            try:
                await asyncio.to_thread(self._write_snapshot, occasion, pictured(self._registry))
            except OSError as error:
                # The disk is at fault: a traceback of ours says nothing.
                logger.error("the snapshot could not be written: %s", error)  # noqa: TRY400

    def holds(self, archive: str) -> bool:
        """Whether the model store has ``archive``."""
        return (self._lives.store.folder / archive).exists()

    async def stop(self, limit: float) -> None:
        """Let everything accepted be answered, for at most ``limit`` seconds, then end all."""
        await self._lives.stop(limit)

    def worker_pids(self) -> list[int]:
        """Process ids of all running workers."""
        return [
            pid
            for version in self._registry
            for slot in version.slots
            if slot.worker is not None
            for pid in slot.worker.pids
        ]


def _bounds(request: ScaleWorkers) -> tuple[int, int] | None:
    """The least and the most workers a scale call asks for; None when it leaves them as they are.

    Raises BadRequest for numbers that make no sense.
    """
    least, most = request.min_worker, request.max_worker
    if least is None and most is None and given_in(Form.SCALE, request):
        return None
    least = 1 if least is None else startable("min_worker", at_least(0, "min_worker", least))
    most = least if most is None else most
    if most < least:
        raise BadRequest("max_worker cannot be less than min_worker.")
    return least, most


def _registered(version: ModelVersion, *, synchronous: bool) -> Outcome:
    spec = version.spec
    title = f'Model "{spec.name}" Version: {spec.version} registered with'
    if not spec.min_workers:
        return _done(
            f"{title} 0 initial workers. Use scale workers API to add workers for the model."
        )
    return _done(f"{title} {spec.min_workers} initial workers") if synchronous else PROCESSING


def _done(text: str) -> Outcome:
    return Outcome(accepted=False, view=StatusView(text))
