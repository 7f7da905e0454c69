"""Settings whose value is more than a number or a text: per-model defaults, a snapshot, words.

Read by ``config.table``; handed on typed by ``server``. Reads nothing itself.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from flambeau.versions.rows import with_values
from flambeau.versions.value import Form


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


@with_values(Form.MODELS, after="mar_name")
class ModelDefaults(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``models`` in the file says of one version of one model. None: not given.

    Values of zero or less count as not given, as measured.
    """

    default_version: bool | None = None
    mar_name: str | None = None


@with_values(Form.SNAPSHOT, after="mar_name")
class SnapshotModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One registered version as a snapshot holds it."""

    default_version: bool
    mar_name: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was registered when a snapshot was written: name -> version -> how."""

    models: dict[str, dict[str, SnapshotModel]]
    name: str = ""
    model_count: int | None = None
    created: int | None = None
    """Milliseconds since 1970."""
