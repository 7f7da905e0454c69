"""What is logged where: the five files, their levels and sizes.

``server`` starts from ``default_plan``; ``logs.log4j`` changes it by a log4j2.xml;
``logs.logs`` carries it out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.logs.rolling import MEGABYTE

if TYPE_CHECKING:
    from collections.abc import Mapping

OFF = logging.CRITICAL + 10
"""A level that nothing reaches."""


class Stream(StrEnum):
    """The logs, by their logger names in the original."""

    SERVER = "org.pytorch.serve"
    ACCESS = "ACCESS_LOG"
    MODEL = "MODEL_LOG"
    SERVER_METRICS = "TS_METRICS"
    MODEL_METRICS = "MODEL_METRICS"


@dataclass(frozen=True, slots=True)
class FilePlan:
    """Where one log goes and how large it gets. ``path`` None: into no file."""

    path: Path | None
    level: int = logging.INFO
    max_bytes: int = 100 * MEGABYTE
    keep: int = 5


@dataclass(frozen=True, slots=True)
class LogPlan:
    """What is logged where."""

    files: Mapping[Stream, FilePlan]
    console_level: int = logging.INFO
    copied: frozenset[Stream] = frozenset({Stream.MODEL})
    """Logs whose lines also go to the server's log and to the console."""
    json: bool = False
    levels: Mapping[str, int] = field(default_factory=dict)
    """Levels of single loggers of the server, by name."""


def default_plan(
    log_location: Path = Path("logs"),
    metrics_location: Path = Path("logs"),
    *,
    json: bool = False,
) -> LogPlan:
    """The five files under their traditional names."""
    return LogPlan(
        {
            Stream.SERVER: FilePlan(log_location / "ts_log.log", logging.DEBUG),
            Stream.ACCESS: FilePlan(log_location / "access_log.log"),
            Stream.MODEL: FilePlan(log_location / "model_log.log"),
            Stream.SERVER_METRICS: FilePlan(metrics_location / "ts_metrics.log"),
            Stream.MODEL_METRICS: FilePlan(metrics_location / "model_metrics.log"),
        },
        json=json,
    )
