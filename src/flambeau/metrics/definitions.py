"""Which metrics exist under the traditional names: metrics.yaml as typed values.

``server`` reads the file once at start and hands the result to ``metrics.registry``. A name that
is not in the file is not kept. The metrics called ``flambeau_...`` are not declared here: they
are always there.
"""

from __future__ import annotations

import re
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class DefinitionsError(ValueError):
    """A metrics.yaml that cannot be used; the message says which file, where and why."""


class MetricKind(StrEnum):
    """How a metric's values add up."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Definition(NamedTuple):
    """One metric: ``labels`` are its label names in the order they are shown."""

    name: str
    unit: str
    kind: MetricKind
    labels: tuple[str, ...]


class Definitions(NamedTuple):
    """The metrics of the server and machine, and those of handlers."""

    server: tuple[Definition, ...] = ()
    model: tuple[Definition, ...] = ()


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    unit: Annotated[str, msgspec.Meta(min_length=1)]
    dimensions: list[str] | None = None


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    counter: list[_Entry] | None = None
    gauge: list[_Entry] | None = None
    histogram: list[_Entry] | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dimensions: Any = None
    ts_metrics: _Section | None = None
    model_metrics: _Section | None = None


def read_definitions(path: Path | None = None) -> Definitions:
    """The metrics a metrics.yaml declares; None means the shipped one.

    Raises DefinitionsError for a file that cannot be read or does not follow the schema.
    """
    source = files(__package__).joinpath("metrics.yaml") if path is None else path
    try:
        text = source.read_text(encoding="utf-8")
        parsed = msgspec.convert(yaml.safe_load(text), type=_File)
        return _checked(parsed)
    except OSError as error:
        raise DefinitionsError(f"metrics_config {path}: {error.strerror}.") from error
    except (yaml.YAMLError, msgspec.ValidationError, ValueError) as error:
        raise DefinitionsError(f"metrics_config {path}: {error}") from error


def check_definition(definition: Definition) -> None:
    """Raise ValueError when a metric cannot be shown under its name or its labels."""
    if not _METRIC_NAME.fullmatch(definition.name):
        raise ValueError(
            f"metric name {definition.name!r} is not allowed; use letters, digits, _ and :."
        )
    for label in definition.labels:
        if not _LABEL_NAME.fullmatch(label) or label.startswith("__"):
            raise ValueError(
                f"metric {definition.name}: dimension {label!r} is not allowed; "
                "use letters, digits and _."
            )
    if len(set(definition.labels)) < len(definition.labels):
        raise ValueError(f"metric {definition.name}: a dimension is listed twice.")


def _checked(parsed: _File) -> Definitions:
    server = tuple(_entries(parsed.ts_metrics, ()))
    model = tuple(_entries(parsed.model_metrics, ("Hostname",)))
    seen: set[str] = set()
    for definition in server + model:
        check_definition(definition)
        if definition.name in seen:
            raise ValueError(f"metric {definition.name} is declared twice.")
        seen.add(definition.name)
    return Definitions(server, model)


def _entries(section: _Section | None, behind: tuple[str, ...]) -> Iterator[Definition]:
    if section is None:
        return
    for kind in MetricKind:
        entries: list[_Entry] | None = getattr(section, kind.value)
        for entry in entries or ():
            labels = (*(entry.dimensions or ()), *behind)
            yield Definition(entry.name, entry.unit, kind, labels)
