"""What is registered, as a snapshot holds it, and one version of it on its way back.

Pure: ``pictured`` reads the registry. Writing and reading the files is the business of
``config.snapshots`` and ``config.load``; registering what they hold, that of the plane.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flambeau.control.describe import in_force
from flambeau.versions.rows import standing_in
from flambeau.versions.value import Form

if TYPE_CHECKING:
    from flambeau.control.model import ModelVersion
    from flambeau.control.registry import Registry
    from flambeau.versions.rows import Given


WriteSnapshot = Callable[[str, dict[str, Any]], object]
"""Writes what is registered, for ``startup``, ``snapshot`` (a change) or ``shutdown``; blocks."""


@dataclass(frozen=True, slots=True)
class SavedVersion:
    """One version as a snapshot holds it; its values beat those of the archive."""

    name: str
    version: str
    archive: str
    default: bool
    values: Given


def pictured(registry: Registry) -> dict[str, dict[str, dict[str, Any]]]:
    """Name → version → values, in the keys and units of the original's snapshots."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for version in registry:
        spec = version.spec
        found.setdefault(spec.name, {})[spec.version] = {
            "defaultVersion": registry.is_default(version),
            "marName": _archive(version),
            **_kept(version),
        }
    return found


def _kept(version: ModelVersion) -> dict[str, Any]:
    """The values of ``version``; those without an effect are left out."""
    shown = in_force(version, Form.SNAPSHOT)
    needing = {row.about.models for row in standing_in(Form.SNAPSHOT) if row.about.needs}
    return {key: value for key, value in shown.items() if value or key not in needing}


def _archive(version: ModelVersion) -> str:
    """The name in the model store: a download's own, without what its URL had behind it."""
    downloaded = version.files.downloaded
    if downloaded is not None:
        return downloaded.name
    url = version.spec.url
    return url.rstrip("/").rpartition("/")[2] or url
