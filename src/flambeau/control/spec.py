"""One version with every value settled.

Who wins is written in the table (``versions.table``): each value has its sources, strongest
first. Here the sources are made ready - bounds, words for "not given", the pair of workers - and
asked in that order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flambeau.archive.manifest import RuntimeType
from flambeau.errors import BadRequest, InvalidModel
from flambeau.supervision.launcher import LOCAL
from flambeau.versions.rows import NOTHING, given_in, paired, rows
from flambeau.versions.table import VersionValues
from flambeau.versions.value import Form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flambeau.archive.manifest import Manifest
    from flambeau.archive.store import ModelFiles
    from flambeau.control.requests import RegisterModel, ScaleWorkers
    from flambeau.versions.rows import Given, ValueRow

NOT_GIVEN = -1
"""What scripts send for "the default", as the original understands it."""
MOST_WORKERS = 1024
"""Of one version. Nobody wants more; a mistyped number must not take the machine with it."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the server's settings say where neither call nor archive does."""

    values: Given = field(default_factory=dict)
    """Of all versions."""
    startup_workers: int = 1
    """Workers of a model loaded at start-up."""
    versions: Mapping[str, Mapping[str, Given]] = field(default_factory=dict)
    """Name to version to what the ``models`` setting says of it."""

    def of(self, name: str, version: str) -> Given:
        """What the ``models`` setting says of this version."""
        return self.versions.get(name, {}).get(version, NOTHING)

    def of_all(self, *, at_startup: bool) -> Given:
        """What the other settings say."""
        return {**self.values, **both(self.startup_workers)} if at_startup else self.values


class ModelSpec(VersionValues, frozen=True, kw_only=True):
    """One version, settled: its values, its name, and what its archive brings."""

    name: str
    version: str
    url: str
    loaded_at_startup: bool = False
    manifest: dict[str, Any] | None = None
    yaml: dict[str, Any] | None = None
    yaml_text: str = ""
    """What workers read instead of ``yaml``, if not empty."""
    ignored: tuple[str, ...] = ()
    """Keys of model-config.yaml that look meant for the server and have no effect."""
    launcher: str = LOCAL
    """Which of the server's launchers starts its workers."""
    mode: str = "batches"
    """How its jobs travel: a row of ``jobs.modes``."""


def settle(
    request: RegisterModel,
    files: ModelFiles,
    defaults: Defaults,
    *,
    at_startup: bool = False,
    default_name: str = "",
    pinned: Given = NOTHING,
) -> ModelSpec:
    """The spec of the version ``request`` asks for; ``pinned`` values beat all others.

    Raises InvalidModel when no name can be found or the archive asks for what is not there,
    BadRequest for values that make no sense.
    """
    model, config = files.manifest.model, files.config
    name = filled(request.model_name) or model.model_name or default_name
    if not name:
        raise InvalidModel("Model name is not defined.")
    version = model.model_version or "1.0"
    refuse_unbuilt(config.given)
    sources = {
        Form.SNAPSHOT: pinned,
        Form.REGISTER: _registered(request),
        Form.CONFIG: paired(config.given),
        Form.MODELS: paired(defaults.of(name, version)),
        Form.MANIFEST: _declared(files.manifest),
        Form.SERVER: defaults.of_all(at_startup=at_startup),
    }
    values = {row.name: _winner(row, sources, at_startup=at_startup) for row in rows().values()}
    if not values["runtime"]:
        raise InvalidModel("Runtime is not defined or invalid.")
    startable("initial_workers", values["min_workers"])
    return ModelSpec(
        name=name,
        version=version,
        url=request.url or "",
        loaded_at_startup=at_startup,
        manifest=files.manifest_document,
        yaml=files.config_document,
        yaml_text=files.config_text,
        ignored=tuple(config.ignored),
        **values,
    )


def _winner(row: ValueRow, sources: Mapping[Form, Given], *, at_startup: bool) -> Any:
    """The value of the strongest source that gives one."""
    for form in (Form.SNAPSHOT, *row.about.wins):
        if form in row.about.startup_only and not at_startup:
            continue
        if row.name in sources[form]:
            return sources[form][row.name]
    return row.default


def refuse_unbuilt(given: Given) -> None:
    """Raise InvalidModel when a model config asks for a feature that is not built.

    Served without it the model would answer wrongly, and nobody would know why.
    """
    keys = [row.about.config for row in rows().values() if row.about.later and given.get(row.name)]
    if keys:
        raise InvalidModel(
            f"model-config.yaml asks for {', '.join(keys)}, which this server cannot do. "
            f"Remove {'it' if len(keys) == 1 else 'them'} to serve the model without."
        )


def asked(form: Form, request: RegisterModel | ScaleWorkers) -> Given:
    """What a call gives; -1 and blank texts mean "not given".

    Raises BadRequest for a number below its bound.
    """
    found = {}
    for name, value in given_in(form, request).items():
        least = rows()[name].about.least
        if value == NOT_GIVEN or (isinstance(value, str) and not value.strip()):
            continue
        found[name] = value if least is None else at_least(least, name, value)
    return found


def filled(text: str | None) -> str | None:
    """``text``, or None when it is blank: a blank name counts as absent."""
    return text if text and text.strip() else None


def at_least(least: int, name: str, value: int) -> int:
    """``value``. Raises BadRequest when it is below ``least``."""
    if value < least:
        raise BadRequest(f"{name} must be {least} or more, not {value}.")
    return value


def startable(name: str, count: int) -> int:
    """``count``, a number of workers that may be started.

    Raises BadRequest when it is beyond ``MOST_WORKERS``.
    """
    if count > MOST_WORKERS:
        raise BadRequest(f"{name} must be {MOST_WORKERS} or less, not {count}.")
    return count


def both(workers: int) -> Given:
    """As many workers as ``workers``, no fewer and no more; fewer than none are none."""
    count = max(0, workers)
    return {"min_workers": count, "max_workers": count}


def _registered(request: RegisterModel) -> Given:
    """What a register call gives. Raises BadRequest for a value that makes no sense."""
    runtime = given_in(Form.REGISTER, request).get("runtime")
    if runtime is not None and runtime not in set(RuntimeType):
        raise BadRequest(f"Invalid RuntimeType value: {runtime}")
    workers = NOTHING if request.initial_workers is None else both(request.initial_workers)
    return {**asked(Form.REGISTER, request), **workers}


def _declared(manifest: Manifest) -> Given:
    """What a manifest gives."""
    found = {
        "runtime": manifest.runtime and str(manifest.runtime),
        "handler": manifest.model.handler,
    }
    return {name: value for name, value in found.items() if value}
