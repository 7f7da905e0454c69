"""A live version as describe shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.control.views import JobQueueView, ModelDescription, WorkerView
from flambeau.supervision.state import State
from flambeau.versions.rows import spellings
from flambeau.versions.value import Form

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flambeau.control.model import ModelVersion
    from flambeau.supervision.slot import Slot

NO_GPU = "N/A"


def describe(version: ModelVersion, gpu_usage: Callable[[int], str]) -> ModelDescription:
    """Every field of the contract for one version. ``gpu_usage`` spells the use of a device."""
    spec, queue = version.spec, version.dispatcher.batcher
    pending = queue.pending
    return ModelDescription(
        modelName=spec.name,
        modelVersion=spec.version,
        modelUrl=spec.url,
        **in_force(version, Form.DESCRIBE),
        loadedAtStartup=spec.loaded_at_startup,
        workers=[_worker(slot, gpu_usage) for slot in version.slots],
        jobQueueStatus=JobQueueView(
            remaining_capacity=max(0, queue.capacity - pending), pending_requests=pending
        ),
        ignored=list(spec.ignored) or None,
    )


def in_force(version: ModelVersion, form: Form) -> dict[str, Any]:
    """What ``version`` really has of each value, in the spelling of ``form``.

    A value that has no effect without another is shown as nothing.
    """
    spec = version.spec
    now = {
        "min_workers": version.min_workers,
        "max_workers": version.max_workers,
        "device_type": version.round.device_type,
        "device_ids": version.round.ids,
    }
    found = {}
    for row, name in spellings(form):
        needs = row.about.needs
        idle = needs and not getattr(spec, needs)
        found[name] = row.nothing if idle else now.get(row.name, getattr(spec, row.name))
    return found


def _worker(slot: Slot, gpu_usage: Callable[[int], str]) -> WorkerView:
    standing, worker, gpu = slot.standing, slot.worker, slot.gpu_id
    failed = bool(standing.tries)
    return WorkerView(
        id=str(slot.number),
        start_time=_time(slot.started),
        status="READY" if slot.ready else "UNLOADING",
        memory_usage=worker.resident_bytes() if worker is not None else 0,
        pid=worker.pids[0] if worker is not None else -1,
        gpu=gpu is not None,
        gpu_usage=NO_GPU if gpu is None else gpu_usage(gpu),
        state=str(standing.state) if failed else None,
        cause=standing.cause if failed else None,
        tries=standing.tries if failed else None,
        next_try=_time(standing.next_try)
        if standing.next_try and standing.state is State.FAILED
        else None,
    )


def _time(moment: datetime) -> str:
    """UTC with three decimals, as the documents show it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
