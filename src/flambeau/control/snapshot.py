"""What is registered, as a snapshot holds it, and one version of it on its way back.

Pure: ``pictured`` reads the registry. Writing and reading the files is the business of
``config.snapshots`` and ``config.load``; registering what they hold, that of the plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from flambeau.control.model import ModelVersion
    from flambeau.control.registry import Registry
    from flambeau.control.spec import VersionDefaults


class SnapshotWriter(Protocol):
    """Where snapshots go. Implemented by ``config.snapshots``."""

    def write(self, occasion: str, models: dict[str, Any]) -> object:
        """Write one snapshot, for ``startup``, ``snapshot`` (a change) or ``shutdown``."""


@dataclass(frozen=True, slots=True)
class SavedVersion:
    """One version as a snapshot holds it; its values beat those of the archive."""

    name: str
    version: str
    archive: str
    default: bool
    values: VersionDefaults


def pictured(registry: Registry) -> dict[str, dict[str, dict[str, Any]]]:
    """Name → version → values, in the keys and units of the original's snapshots."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for version in registry:
        spec = version.spec
        found.setdefault(spec.name, {})[spec.version] = {
            "defaultVersion": registry.is_default(version),
            "marName": _archive(version),
            "minWorkers": version.min_workers,
            "maxWorkers": version.max_workers,
            "batchSize": spec.batch_size,
            "maxBatchDelay": spec.max_batch_delay,
            "responseTimeout": spec.response_timeout,
            "startupTimeout": spec.startup_timeout,
            "runtimeType": spec.runtime,
            **({"parallelLevel": level} if (level := spec.config.parallel_level) else {}),
        }
    return found


def _archive(version: ModelVersion) -> str:
    """The name in the model store: a download's own, without what its URL had behind it."""
    downloaded = version.files.downloaded
    if downloaded is not None:
        return downloaded.name
    url = version.spec.url
    return url.rstrip("/").rpartition("/")[2] or url
