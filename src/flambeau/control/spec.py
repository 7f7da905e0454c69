"""One version with every value settled.

The one place that knows who wins. Batch size and delay: the register call, the archive's
model-config.yaml, the ``models`` setting, the default. Time-outs: the yaml's own value, the
register call, the ``models`` setting, the default. Workers at registration: the yaml (when it
gives a minimum and a maximum that fit), then the call; at start-up the ``models`` setting
stands between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flambeau.archive.manifest import RuntimeType
from flambeau.errors import BadRequest, InvalidModel
from flambeau.supervision.launcher import LOCAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flambeau.archive.model_config import ModelConfig
    from flambeau.archive.store import ModelFiles
    from flambeau.control.requests import RegisterModel

BATCH_SIZE = 1
BATCH_DELAY_MS = 100


@dataclass(frozen=True, slots=True)
class VersionDefaults:
    """What the ``models`` setting says of one version; None for what it does not say."""

    min_workers: int | None = None
    max_workers: int | None = None
    batch_size: int | None = None
    max_batch_delay: int | None = None
    response_timeout: int | None = None
    startup_timeout: int | None = None
    runtime: str | None = None


NOTHING = VersionDefaults()


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where neither call nor archive says anything. Times in seconds."""

    workers: int = 0
    """Workers of a registration that names no number."""
    startup_workers: int = 1
    """Workers of a model loaded at start-up."""
    queue_size: int = 100
    response_timeout: int = 120
    startup_timeout: int = 120
    handler: str = ""
    versions: Mapping[str, Mapping[str, VersionDefaults]] = field(default_factory=dict)

    def of(self, name: str, version: str) -> VersionDefaults:
        """What the ``models`` setting says of this version."""
        return self.versions.get(name, {}).get(version, NOTHING)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One version, settled. Time-outs in seconds, ``max_batch_delay`` in milliseconds."""

    name: str
    version: str
    url: str
    runtime: str
    handler: str
    min_workers: int
    max_workers: int
    batch_size: int
    max_batch_delay: int
    response_timeout: int
    startup_timeout: int
    queue_size: int
    config: ModelConfig
    loaded_at_startup: bool = False
    manifest: dict[str, Any] | None = None
    yaml: dict[str, Any] | None = None
    yaml_text: str = ""
    """What workers read instead of ``yaml``, if not empty."""
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
    pinned: VersionDefaults = NOTHING,
) -> ModelSpec:
    """The spec of the version ``request`` asks for; ``pinned`` values beat all others.

    Raises InvalidModel when no name can be found, BadRequest for values that make no sense.
    """
    manifest, config = files.manifest, files.config
    name = given(request.model_name) or manifest.model.model_name or default_name
    if not name:
        raise InvalidModel("Model name is not defined.")
    version = manifest.model.model_version or "1.0"
    known = defaults.of(name, version)
    least, most = _workers(request, config, known, defaults, at_startup=at_startup)
    startable("initial_workers", least)
    spec = ModelSpec(
        name=name,
        version=version,
        url=request.url or "",
        runtime=_runtime(request, known, manifest.runtime),
        handler=given(request.handler) or manifest.model.handler or defaults.handler,
        min_workers=least,
        max_workers=most,
        batch_size=first(
            positive("batch_size", request.batch_size),
            config.batch_size,
            known.batch_size,
            BATCH_SIZE,
        ),
        max_batch_delay=_delay(request, config, known),
        response_timeout=first(
            config.response_timeout,
            positive("response_timeout", request.response_timeout),
            known.response_timeout,
            defaults.response_timeout,
        ),
        startup_timeout=first(
            config.startup_timeout,
            positive("startup_timeout", request.startup_timeout),
            known.startup_timeout,
            defaults.startup_timeout,
        ),
        queue_size=first(config.job_queue_size, defaults.queue_size),
        config=config,
        loaded_at_startup=at_startup,
        manifest=files.manifest_document,
        yaml=files.config_document,
        yaml_text=files.config_text,
    )
    return _pin(spec, pinned)


def _pin(spec: ModelSpec, pinned: VersionDefaults) -> ModelSpec:
    values = {name: getattr(pinned, name) for name in pinned.__slots__}
    return replace(spec, **{name: value for name, value in values.items() if value is not None})


def given(text: str | None) -> str | None:
    """``text``, or None when it is blank: a blank name counts as absent."""
    return text if text and text.strip() else None


def first(*values: int | None) -> int:
    """The first value that is given and above zero: anything else means unset in the files."""
    for value in values:
        if value is not None and value > 0:
            return value
    return values[-1] or 0


NOT_GIVEN = -1
"""What scripts send for "the default", as the original understands it."""


def positive(name: str, value: int | None) -> int | None:
    """``value`` if it is given and above zero.

    Raises BadRequest for zero and below.
    """
    if value == NOT_GIVEN:
        return None
    if value is not None and value < 1:
        raise BadRequest(f"{name} must be 1 or more, not {value}.")
    return value


def not_negative(name: str, value: int) -> int:
    """``value``, which a caller may set to zero.

    Raises BadRequest for values below zero.
    """
    if value < 0:
        raise BadRequest(f"{name} must be 0 or more, not {value}.")
    return value


def _delay(request: RegisterModel, config: ModelConfig, known: VersionDefaults) -> int:
    """Milliseconds; zero is a value of its own here: do not wait."""
    asked = request.max_batch_delay
    if asked is not None and asked != NOT_GIVEN:
        return not_negative("max_batch_delay", asked)
    if config.max_batch_delay is not None:
        return config.max_batch_delay
    return first(known.max_batch_delay, BATCH_DELAY_MS)


MOST_WORKERS = 1024
"""Of one version. Nobody wants more; a mistyped number must not take the machine with it."""


def startable(name: str, count: int) -> int:
    """``count``, a number of workers that may be started.

    Raises BadRequest when it is beyond ``MOST_WORKERS``.
    """
    if count > MOST_WORKERS:
        raise BadRequest(f"{name} must be {MOST_WORKERS} or less, not {count}.")
    return count


def _runtime(request: RegisterModel, known: VersionDefaults, manifest: RuntimeType | None) -> str:
    if request.runtime is not None:
        try:
            return str(RuntimeType(request.runtime))
        except ValueError:
            raise BadRequest(f"Invalid RuntimeType value: {request.runtime}") from None
    if manifest is None and known.runtime is None:
        raise InvalidModel("Runtime is not defined or invalid.")
    return known.runtime or str(manifest)


def _workers(
    request: RegisterModel,
    config: ModelConfig,
    known: VersionDefaults,
    defaults: Defaults,
    *,
    at_startup: bool,
) -> tuple[int, int]:
    least, most = config.min_workers or 0, config.max_workers or 0
    if 0 < least <= most:
        return least, most
    if at_startup and request.initial_workers is None:
        least, most = known.min_workers or 0, known.max_workers or 0
        if 0 < least <= most:
            return least, most
        return defaults.startup_workers, defaults.startup_workers
    count = defaults.workers if request.initial_workers is None else request.initial_workers
    return max(0, count), max(0, count)
