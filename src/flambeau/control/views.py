"""What each operation answers, field by field, and its JSON spelling.

Fields stand in the order clients see them; ``omit_defaults`` on optional ones leaves absent
values out, since the contract never writes null. The faces write these values; nothing else
decides what a description holds.
"""

from __future__ import annotations

from typing import Any

import msgspec


class StatusView(msgspec.Struct, frozen=True):
    """A sentence about what was done."""

    status: str


class Outcome(msgspec.Struct, frozen=True):
    """The answer of a changing operation; ``accepted`` means it goes on after the answer (202)."""

    accepted: bool
    view: StatusView


class ModelSummary(msgspec.Struct, frozen=True, rename="camel"):
    """One line of the list of models."""

    model_name: str
    model_url: str


class ModelPage(msgspec.Struct, frozen=True, rename="camel"):
    """One page of the list. ``next_page_token`` is None on the last page."""

    next_page_token: str | None
    models: list[ModelSummary]


class WorkerView(msgspec.Struct, frozen=True, rename="camel"):
    """One worker. The last four fields are shown only while the worker is in trouble."""

    id: str
    start_time: str
    status: str
    memory_usage: int
    pid: int
    gpu: bool
    gpu_usage: str
    state: str | None = None
    """Named state of a worker that is down: ``failed``."""
    cause: str | None = None
    """First line of the exception that stopped it."""
    tries: int | None = None
    """Failed starts in a row."""
    next_try: str | None = None
    """UTC time of the next start."""


class JobQueueView(msgspec.Struct, frozen=True, rename="camel"):
    """What waits in the queue of one version."""

    remaining_capacity: int
    pending_requests: int


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model as describe shows it."""

    modelName: str  # noqa: N815 - the contract's spelling does not follow one rule
    modelVersion: str  # noqa: N815
    modelUrl: str | None = None  # noqa: N815
    runtime: str
    minWorkers: int  # noqa: N815
    maxWorkers: int  # noqa: N815
    batchSize: int  # noqa: N815
    maxBatchDelay: int  # noqa: N815
    responseTimeout: int  # noqa: N815
    startupTimeout: int  # noqa: N815
    maxRetryTimeoutInSec: int  # noqa: N815
    clientTimeoutInMills: int  # noqa: N815
    parallelType: str  # noqa: N815
    parallelLevel: int  # noqa: N815
    deviceType: str  # noqa: N815
    deviceIds: list[int] | None = None  # noqa: N815
    continuousBatching: bool  # noqa: N815
    useJobTicket: bool  # noqa: N815
    useVenv: bool  # noqa: N815
    stateful: bool
    sequenceMaxIdleMSec: int  # noqa: N815
    sequenceTimeoutMSec: int  # noqa: N815
    maxNumSequence: int  # noqa: N815
    maxSequenceJobQueueSize: int  # noqa: N815
    loadedAtStartup: bool  # noqa: N815
    workers: list[WorkerView]
    jobQueueStatus: JobQueueView  # noqa: N815
    customizedMetadata: dict[str, Any] | None = None  # noqa: N815


def plain(view: object) -> Any:
    """``view`` as dicts and lists, ready for JSON, without absent values."""
    return _without_none(msgspec.to_builtins(view))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
