"""Settings whose value is more than a number or a text: per-model defaults, a snapshot, words.

Read by ``config.table``; handed on typed by ``server``. Reads nothing itself.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Batching(StrEnum):
    """Whether an idle worker waits for company."""

    ADAPTIVE = "adaptive"
    STRICT = "strict"


class MetricsMode(StrEnum):
    """Where metrics are written."""

    LOG = "log"
    PROMETHEUS = "prometheus"
    LEGACY = "legacy"


class LogFormat(StrEnum):
    """How the access log and the server log spell a line."""

    TEXT = "text"
    JSON = "json"


class ModelDefaults(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Defaults of one version of one model (``models`` in the file). None: not given.

    Times are in seconds, ``max_batch_delay`` in milliseconds. Values of zero or less count as
    not given, as measured.
    """

    min_workers: int | None = None
    max_workers: int | None = None
    batch_size: int | None = None
    max_batch_delay: int | None = None
    response_timeout: int | None = None
    startup_timeout: int | None = None
    runtime_type: str | None = None
    default_version: bool | None = None
    mar_name: str | None = None


class SnapshotModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One registered version as a snapshot holds it. Units as in ``ModelDefaults``."""

    default_version: bool
    mar_name: str
    min_workers: int
    max_workers: int
    batch_size: int
    max_batch_delay: int
    response_timeout: int = 120
    startup_timeout: int = 120
    runtime_type: str = "python"
    parallel_level: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was registered when a snapshot was written: name -> version -> how."""

    models: dict[str, dict[str, SnapshotModel]]
    name: str = ""
    model_count: int | None = None
    created: int | None = None
    """Milliseconds since 1970."""
