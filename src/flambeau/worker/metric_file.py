"""metrics.yaml, as far as a worker needs it: the ``model_metrics`` section.

Imported only where a metrics file is configured, so that a light worker never imports yaml.
Every fault is a MetricsCache error that says which file and what is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flambeau.worker.metric_values import (
    MetricsCacheIOError,
    MetricsCacheKeyError,
    MetricsCacheTypeError,
    MetricsCacheValueError,
    MetricTypes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Definition = tuple[MetricTypes, str, str, list[str]]
"""Kind, name, unit, dimension names."""


class MetricsCachePyYamlError(yaml.YAMLError):
    """The metrics file is no YAML."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


def read(path: str) -> Any:
    """The whole document of the file at ``path``."""
    if not isinstance(path, (str, Path)):
        raise MetricsCacheTypeError(f"the path of the metrics file must be a str, not {path!r}")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise MetricsCacheIOError(f"Error reading file {path}: {error}") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MetricsCachePyYamlError(f"Error parsing file {path}: {error}") from error


def model_metrics(path: str) -> Iterator[Definition]:
    """Every definition in the ``model_metrics`` section of the file at ``path``."""
    document = read(path)
    if not isinstance(document, dict) or "model_metrics" not in document:
        raise MetricsCacheKeyError(f"'model_metrics' key not found in yaml file {path}")
    section = document["model_metrics"]
    if not section:
        raise MetricsCacheValueError(f"Missing `model_metrics` specification in {path}")
    for kind, entries in section.items():
        try:
            metric_type = MetricTypes(kind)
        except ValueError as error:
            raise MetricsCacheKeyError(f"Invalid metric type in {path}: {error}") from error
        for entry in entries or ():
            try:
                yield metric_type, entry["name"], entry["unit"], list(entry["dimensions"])
            except (KeyError, TypeError) as error:
                raise MetricsCacheKeyError(
                    f"Key not found in cache spec of {path}: {error} in {entry!r}"
                ) from error
