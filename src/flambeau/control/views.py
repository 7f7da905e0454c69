"""What each operation answers, field by field, and its JSON spelling.

Fields stand in the order clients see them; ``omit_defaults`` on optional ones leaves absent
values out, since the contract never writes null. The faces write these values; nothing else
decides what a description holds. The values of a version come from ``versions.table``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flambeau.versions.rows import with_values
from flambeau.versions.value import Form


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


@with_values(Form.DESCRIBE, after="modelUrl")
class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model as describe shows it."""

    modelName: str  # noqa: N815 - the contract's spelling does not follow one rule
    modelVersion: str  # noqa: N815
    modelUrl: str | None = None  # noqa: N815
    loadedAtStartup: bool  # noqa: N815
    workers: list[WorkerView]
    jobQueueStatus: JobQueueView  # noqa: N815
    ignored: list[str] | None = None
    """Keys of model-config.yaml that look meant for the server and have no effect."""
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
