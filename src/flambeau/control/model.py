"""One live version of a model: its queue, its slots, and what it takes from a face.

It starts and stops slots and says whether a job can be accepted; which version a request means
is the registry's business, what a change means is the plane's.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from flambeau.control.devices import VersionRound
from flambeau.control.scaling import plan, within
from flambeau.errors import (
    NoWorker,
    QueueFull,
    StillLoading,
    Unavailable,
    WorkersFailing,
)
from flambeau.jobs.batching import BatchPolicy
from flambeau.jobs.dispatch import Dispatcher
from flambeau.jobs.feed import Prefetch
from flambeau.jobs.modes import Window, batcher, feeds
from flambeau.supervision.launcher import WorkerCommand
from flambeau.supervision.slot import Slot
from flambeau.supervision.state import State
from flambeau.transport.messages import Load, WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.archive.store import ModelFiles
    from flambeau.control.devices import SharedRound
    from flambeau.control.spec import ModelSpec
    from flambeau.jobs.job import Job
    from flambeau.metrics.model import ModelMetrics
    from flambeau.supervision.environment import EnvironmentRule
    from flambeau.supervision.launcher import Launcher
    from flambeau.versions.rows import Given

logger = logging.getLogger("flambeau.control")

HOPELESS_TRIES = 3
"""Failed starts in a row of every worker, after which requests are refused instead of queued."""
NO_WORKER = (
    "{model} has no worker to serve inference request. Please use scale workers API to add "
    "workers. If this is a sequence inference, please check if it is closed, or expired; or "
    "exceeds maxSequenceJobQueueSize"
)
"""The contract's sentence; clients match on it."""


@dataclass(frozen=True)
class Workshop:
    """What every version needs to run workers; made once by the server."""

    launcher: Launcher
    rule: EnvironmentRule
    devices: SharedRound
    worker_ids: Callable[[], int]
    prefetch: Prefetch = field(default_factory=Prefetch)
    strict_batching: bool = False
    settings: WorkerSettings = field(default_factory=WorkerSettings)
    worker_environment: dict[str, str] = field(default_factory=dict)


class ModelVersion:
    """One version being served. Jobs go in by ``accept``; workers come and go by ``scale``."""

    def __init__(
        self, spec: ModelSpec, files: ModelFiles, workshop: Workshop, metrics: ModelMetrics
    ) -> None:
        self.spec = spec
        self.files = files
        self.metrics = metrics
        self.min_workers = spec.min_workers
        self.max_workers = spec.max_workers
        self.wanted = 0
        """Workers to have now: within the bounds, or none of them while asleep."""
        self._put_to_sleep = False
        """By a policy, which is another thing than being scaled to nothing by a call."""
        self.slots: list[Slot] = []
        self.round = VersionRound(workshop.devices, spec.device_type, spec.device_ids)
        self._title = (spec.name, spec.version)
        self._workshop = workshop
        self._leaving: dict[asyncio.Task[None], Slot] = {}
        self._closed: Unavailable | None = None
        self._trouble = False
        """Some worker has failed since it was last ready."""
        self._window = Window(workshop.prefetch, spec.batch_size)
        self.dispatcher = Dispatcher(
            batcher(
                spec.mode,
                self._policy(),
                spec.queue_size,
                f'Model "{spec.name}" version {spec.version}',
            ),
            feeds(spec.mode, self._window),
            metrics,
            response_timeout=spec.response_timeout,
            client_timeout=spec.client_timeout / 1000,
        )

    # -- jobs

    def accept(self, job: Job) -> None:
        """Queue ``job``; its answer comes through ``job.on_answer``.

        Raises one of the Unavailable errors when no worker can take it in time.
        """
        if not self.slots and self.asleep:
            self.want(1, "a request came")
        if not self.slots or self._closed is not None:
            raise self._refuse(self._closed or NoWorker(self._no_worker(job)))
        if self._trouble and (failing := self._failing()) is not None:
            raise self._refuse(failing)
        job.model = self._title
        self.metrics.arrived(job.version_given)
        try:
            self.dispatcher.submit(job)
        except QueueFull as full:
            raise self._refuse(full if self.dispatcher.ready else self._loading()) from None
        except Unavailable as error:
            raise self._refuse(error) from None

    def _loading(self) -> StillLoading:
        """Why the queue is full while nobody is ready to empty it."""
        return StillLoading(
            f'Model "{self.spec.name}" version {self.spec.version} is still loading and has '
            f"{self.dispatcher.batcher.capacity} requests waiting, as many as its queue may hold. "
            "Try again later."
        )

    def _refuse(self, error: Unavailable) -> Unavailable:
        self.metrics.rejected(error.reason)
        return error

    def _no_worker(self, job: Job) -> str:
        named = f' Version {self.spec.version}"' if job.version_given else ""
        return NO_WORKER.format(model=f'Model "{self.spec.name}"{named}')

    # -- workers

    def scale(self, least: int, most: int, grace: float | None = None) -> list[Slot]:
        """Have at least ``least`` and at most ``most`` workers; the new slots come back.

        Workers that go may take ``grace`` seconds to finish what they hold, None for as long as
        it takes. Raises the error of ``close`` when new ones are asked of a closed version.
        """
        if self._closed is not None and least > 0:
            raise self._closed
        self.min_workers, self.max_workers = least, most
        return self._reach(within(self.wanted, least, most), grace)

    def want(self, count: int, reason: str) -> list[Slot]:
        """Have ``count`` workers now, or the nearest number in the bounds, which stay as they are.

        For policies; ``reason`` goes to the log. The new slots come back; workers that go finish
        what they hold. 0 puts the version to sleep whatever its minimum: the next request wakes
        it, and those that wait do so at once. Raises the error of ``close``.
        """
        if self._closed is not None:
            raise self._closed
        wanted = within(count, self.min_workers, self.max_workers) if count > 0 else 0
        self._put_to_sleep = not wanted
        if wanted == self.wanted:
            return []
        logger.info("%s %s wants %d workers: %s", *self._title, wanted, reason)
        return self._reach(wanted, None)

    @property
    def asleep(self) -> bool:
        """A policy wants no worker, though the bounds allow some: one comes when it is asked for."""
        return (
            self._put_to_sleep and not self.wanted and self.max_workers > 0 and self._closed is None
        )

    def change(self, values: Given) -> None:
        """Change values of the live version that a scale call may; no job is lost, workers go on."""
        self.spec = msgspec.structs.replace(self.spec, **values)
        self.dispatcher.batcher.policy = self._policy()
        self._window.batch_size = self.spec.batch_size
        for slot in self.slots:
            slot.load.batch_size = self.spec.batch_size  # for the worker of its next start
        self.dispatcher.wake()

    async def left(self) -> None:
        """Returns when every worker told to go is gone."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    async def close(self, error: Unavailable, grace: float | None) -> None:
        """End this version: answer who waits with ``error``, stop the workers, remove the files.

        Running jobs may take ``grace`` seconds. A second call may cut that short.
        """
        self._closed = error
        self.dispatcher.fail_all(error)
        for slot in list(self._leaving.values()):
            self._leave(slot, grace)
        self.scale(0, 0, grace)
        await self.left()
        await asyncio.to_thread(self.files.discard)

    async def idle(self) -> None:
        """Returns when every accepted job has been answered."""
        await self.dispatcher.idle()

    @property
    def healthy_workers(self) -> int:
        """Workers that never failed, or failed less than maxRetryTimeoutInSec ago."""
        limit = self.retry_limit
        return sum(
            slot.standing.failing_since is None or slot.standing.failing_for() < limit
            for slot in self.slots
        )

    @property
    def retry_limit(self) -> int:
        """Seconds a failing worker still counts as healthy, and its longest back-off."""
        return self.spec.max_retry_timeout

    # -- inside

    def _policy(self) -> BatchPolicy:
        return BatchPolicy(
            size=self.spec.batch_size,
            delay=self.spec.max_batch_delay / 1000,
            strict=self._workshop.strict_batching,
        )

    def _reach(self, wanted: int, grace: float | None) -> list[Slot]:
        """Start or stop what is missing or too many; the new slots come back."""
        self.wanted = wanted
        todo = plan(len(self.slots), wanted)
        for position in todo.stop:
            self._leave(self.slots.pop(position), grace)
        for slot in self.slots:
            slot.retry_now()
        new = [self._new_slot() for _ in range(todo.add)]
        self.slots += new
        for slot in new:
            slot.start()
        self._see_to_the_queue()
        return new

    def _leave(self, slot: Slot, grace: float | None) -> None:
        leaving = asyncio.create_task(slot.stop(grace), name=f"stop {slot.command.name}")
        self._leaving[leaving] = slot
        leaving.add_done_callback(self._left)

    def _left(self, leaving: asyncio.Task[None]) -> None:
        del self._leaving[leaving]
        self._see_to_the_queue()

    def _see_to_the_queue(self) -> None:
        """Without workers nobody takes what waits, or came back from one that left."""
        if self.slots:
            return
        if not self.asleep:
            no_worker = NoWorker(NO_WORKER.format(model=f'Model "{self.spec.name}"'))
            self.dispatcher.fail_all(self._closed or no_worker)
        elif self.dispatcher.batcher.pending:
            self.want(1, "requests wait")

    def _new_slot(self) -> Slot:
        shop, spec = self._workshop, self.spec
        number = shop.worker_ids()
        name = f"W-{number}-{spec.name}_{spec.version}"
        model_dir = self.files.model_dir
        return Slot(
            number,
            WorkerCommand(
                name=name,
                model_dir=model_dir,
                handler=spec.handler,
                launcher=spec.launcher,
                environment=shop.rule.for_model(model_dir, spec.handler, shop.worker_environment),
            ),
            self._load(name),
            shop.launcher,
            self.dispatcher.serve,
            startup_timeout=spec.startup_timeout,
            retry_limit=max(1, self.retry_limit),
            metrics=self.metrics,
            moved=self._slot_moved,
        )

    def _slot_moved(self, slot: Slot) -> None:
        """A crash-looping version answers who waits, with the cause, instead of leaving them."""
        self._trouble = any(slot.standing.tries for slot in self.slots)
        if slot.standing.state is State.FAILED and (error := self._failing()) is not None:
            self.dispatcher.fail_all(error)

    def _failing(self) -> WorkersFailing | None:
        """What to answer while no worker can start; None when at least one may soon be ready."""
        if not self.slots or any(slot.standing.tries < HOPELESS_TRIES for slot in self.slots):
            return None
        standing = self.slots[0].standing
        return WorkersFailing(
            f'No worker of model "{self.spec.name}" version {self.spec.version} can start: '
            f"{standing.cause} ({standing.tries} tries; the next is at "
            f"{standing.next_try:%H:%M:%S} UTC)"
            if standing.next_try
            else f'No worker of model "{self.spec.name}" can start: {standing.cause}'
        )

    def _load(self, worker_name: str) -> Load:
        spec = self.spec
        return Load(
            model_name=spec.name,
            model_version=spec.version,
            model_dir=str(self.files.model_dir),
            handler=spec.handler,
            batch_size=spec.batch_size,
            gpu_id=self.round.take(),
            manifest=spec.manifest,
            model_yaml_config=None if spec.yaml_text else spec.yaml,
            model_yaml_text=spec.yaml_text,
            worker_name=worker_name,
            settings=self._workshop.settings,
            mode=spec.mode,
        )
