"""A live version as describe shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.control.views import JobQueueView, ModelDescription, WorkerView
from flambeau.supervision.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from flambeau.control.model import ModelVersion
    from flambeau.supervision.slot import Slot

NO_GPU = "N/A"


def describe(version: ModelVersion, gpu_usage: Callable[[int], str]) -> ModelDescription:
    """Every field of the contract for one version. ``gpu_usage`` spells the use of a device."""
    spec, config, queue = version.spec, version.spec.config, version.dispatcher.batcher
    pending, stateful = queue.pending, config.sequence_batching
    return ModelDescription(
        modelName=spec.name,
        modelVersion=spec.version,
        modelUrl=spec.url,
        runtime=spec.runtime,
        minWorkers=version.min_workers,
        maxWorkers=version.max_workers,
        batchSize=spec.batch_size,
        maxBatchDelay=spec.max_batch_delay,
        responseTimeout=spec.response_timeout,
        startupTimeout=spec.startup_timeout,
        maxRetryTimeoutInSec=version.retry_limit,
        clientTimeoutInMills=config.client_timeout,
        parallelType=config.parallel_type or "",
        parallelLevel=config.parallel_level,
        deviceType=version.round.device_type,
        deviceIds=version.round.ids,
        continuousBatching=config.continuous_batching,
        useJobTicket=config.use_job_ticket,
        useVenv=config.use_venv,
        stateful=stateful,
        sequenceMaxIdleMSec=config.sequence_max_idle if stateful else 0,
        sequenceTimeoutMSec=config.sequence_timeout if stateful else 0,
        maxNumSequence=config.max_num_sequence if stateful else 0,
        maxSequenceJobQueueSize=config.max_sequence_job_queue_size if stateful else 0,
        loadedAtStartup=spec.loaded_at_startup,
        workers=[_worker(slot, gpu_usage) for slot in version.slots],
        jobQueueStatus=JobQueueView(
            remaining_capacity=max(0, queue.capacity - pending), pending_requests=pending
        ),
    )


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
