"""Names of classes: ``index_to_name.json`` and its use on a model's output.

Public through ``ts.utils.util``. No torch.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

logger = logging.getLogger(__name__)


class BadLabels(Exception):  # noqa: N818 - named like its siblings in errors
    """index_to_name.json does not map classes to names."""


def load_label_mapping(mapping_file_path: str) -> dict[str, Any] | None:
    """Class to name; None, with a warning, when there is no such file.

    Accepts ``{"0": "name"}``, ``{"0": [..., "name"]}`` and ``{"object_type_names": [...]}``.
    Raises BadLabels for anything else.
    """
    path = Path(mapping_file_path)
    if not path.is_file():
        logger.warning(
            "'%s' is missing. Inference output will not include class name.", mapping_file_path
        )
        return None
    mapping = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(mapping, dict):
        raise BadLabels('index->name JSON mapping should be in "class": "label" format.')
    names = mapping.get("object_type_names")
    if names is not None:
        if not isinstance(names, list):
            raise BadLabels("labels in index->name mapping must be either str or List[str]")
        mapping = {str(index): name for index, name in enumerate(names)}
    return {key: _name(value) for key, value in mapping.items()}


def _name(value: Any) -> str:
    last = value[-1] if isinstance(value, list) and value else value
    if not isinstance(last, str):
        raise BadLabels("labels in index->name mapping must be either str or List[str]")
    return last


def map_class_to_label(
    probs: Iterable[Sequence[Any]],
    mapping: Mapping[str, Any] | None = None,
    lbl_classes: Sequence[Sequence[Any]] | None = None,
) -> list[dict[Any, Any]]:
    """One dict of name to value per row, in the order of the values.

    ``lbl_classes`` holds the class of each value; without it a value's class is its place.
    Raises KeyError for a class the mapping lacks.
    """
    labelled = []
    for index, row in enumerate(probs):
        classes = range(len(row)) if lbl_classes is None else lbl_classes[index]
        names = [str(one) for one in classes]
        if mapping is not None:
            names = [mapping[name] for name in names]
        labelled.append(dict(zip(names, row, strict=False)))
    return labelled
