"""model-config.yaml as typed values.

Read once per registration by ``archive.store``; ``control`` settles the values, workers receive
the raw document. A value of the wrong type is left out with a warning that names it, so that one
slip does not take the model down; it never raises for what a file contains.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, field

from flambeau.archive.config_keys import without_effect
from flambeau.versions.rows import standing_in
from flambeau.versions.table import INT_MAX, TorchRun
from flambeau.versions.value import Form

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flambeau.versions.rows import ValueRow

log = logging.getLogger("flambeau.archive")

MOST_BYTES = 256 << 10
MOST_DEPTH = 100
MOST_NODES = 200_000
"""Most values a document may have once its aliases are written out."""

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where it was built in: ten times as fast, and a register call waits for it."""

SURROGATE = re.compile(r"[\ud800-\udfff]")


class ModelConfig(msgspec.Struct, frozen=True):
    """What the file gives of a version's values, and which of its keys the server ignores."""

    given: dict[str, Any] = field(default_factory=dict)
    """By the names of ``versions.table``."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Keys that look meant for the server and have no effect, each with the reason."""


def read_model_config(path: Path, shown: str) -> tuple[ModelConfig, dict[str, Any] | None]:
    """The values in the YAML file at ``path``, typed, and the document as written.

    ``shown`` names the file in the log. A file that cannot be read or parsed: an error line,
    nothing given, and None for the document. An empty file has no keys: ``{}``.
    """
    try:
        document = _parse(path)
    except (
        yaml.YAMLError,
        OSError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # PyYAML's constructors let all of these out for odd scalars
        cause = " ".join(str(error).split())
        log.error(  # noqa: TRY400 -- the file is at fault, a traceback of ours says nothing
            "model config unreadable, the model goes on without it file=%s cause=%s", shown, cause
        )
        return ModelConfig(), None
    given: dict[str, Any] = {}
    for row in standing_in(Form.CONFIG):
        value = document.get(row.about.config)
        if value is None:
            continue
        if row.name == "torchrun":
            given |= _torchrun(value, shown)
        else:
            given |= _taken(
                row.name, row.about.config, _lifted(row, value, shown), _kind(row), shown
            )
    return ModelConfig(given, without_effect(document, given, shown)), document


def _lifted(row: ValueRow, value: Any, shown: str) -> Any:
    """``value``, or the least there may be where a lower number means that."""
    about = row.about
    if about.lifted and about.least is not None and type(value) is int and value >= -INT_MAX:
        if value < about.least:
            log.warning(
                "model config value raised file=%s key=%s value=%d to=%d",
                shown,
                about.config,
                value,
                about.least,
            )
        return max(value, about.least)
    return value


def _taken(name: str, key: str, value: Any, kind: Any, shown: str) -> Mapping[str, Any]:
    """``value`` under its name if it is of its kind, else nothing."""
    try:
        return {name: msgspec.convert(value, kind, strict=True)}
    except msgspec.ValidationError as error:
        _left_out(shown, key, value, str(error))
        return {}


def _torchrun(value: Any, shown: str) -> Mapping[str, Any]:
    """The map ``torchrun``, key by key; its processes are the parallel level."""
    if not isinstance(value, dict):
        _left_out(shown, "torchrun", value, "expected a map")
        return {}
    entries = {entry.encode_name: entry for entry in msgspec.structs.fields(TorchRun)}
    given: dict[str, Any] = {}
    for key, inner in value.items():
        if key not in entries:
            _left_out(shown, f"torchrun.{key}", inner, "unsupported parameter")
        elif inner is not None:
            entry = entries[key]
            given |= _taken(entry.name, f"torchrun.{key}", inner, entry.type, shown)
    spread = TorchRun(**given)
    return {"torchrun": spread, "parallel_level": spread.nproc_per_node}


@cache
def _kind(row: ValueRow) -> Any:
    """The type a value must have in the file, with its bounds."""
    about = row.about
    if about.choices:
        return Literal[about.choices]
    return Annotated[int, Meta(ge=about.least, le=INT_MAX)] if row.type is int else row.type


def _left_out(shown: str, key: str, value: object, expected: str) -> None:
    log.warning(
        "model config value not used file=%s key=%s value=%.200r cause=%s",
        shown,
        key,
        value,
        expected,
    )


def _parse(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES} bytes")
    text = read_text(path)
    _check_depth(text)
    loader = Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return {}
        _count(root, {}, set())
        document = loader.construct_document(root)
    finally:
        loader.dispose()
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ValueError(f"it holds a {type(document).__name__}, not a map")  # noqa: TRY004 -- bad content, caught with the parser's own errors
    return document


def read_text(path: Path) -> str:
    """The text of a model config, without the mark some editors begin it with."""
    return path.read_text(encoding="utf-8-sig")


def is_plain(document: object) -> bool:
    """Whether msgpack carries ``document`` unchanged: no dates, sets, bytes, odd keys or depths."""
    waiting: list[tuple[object, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            return False
        if type(value) is dict:
            if not all(type(key) is str for key in value):
                return False
            waiting += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif type(value) is list:
            waiting += [(inner, depth + 1) for inner in value]
        elif not _is_plain_scalar(value):
            return False
    return True


def _is_plain_scalar(value: object) -> bool:
    if type(value) is int:
        return -(2**63) <= value < 2**64
    if type(value) is str:
        return not SURROGATE.search(value)
    return value is None or type(value) in (bool, float)


def _check_depth(text: str) -> None:
    """Raise ValueError for deep nesting: composing recurses, in libyaml on the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_DEPTH:
            raise ValueError(f"it is nested more than {MOST_DEPTH} levels deep")


def _count(node: yaml.Node, known: dict[int, int], open_nodes: set[int]) -> int:
    """Values below ``node`` with every alias written out. Raises ValueError over MOST_NODES."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in open_nodes:
        raise ValueError("an alias in it refers to itself")
    open_nodes.add(id(node))
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(_count(child, known, open_nodes) for child in node.value)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            total += _count(key, known, open_nodes) + _count(value, known, open_nodes)
    if total > MOST_NODES:
        raise ValueError(f"it grows to more than {MOST_NODES} values when its aliases are followed")
    open_nodes.discard(id(node))
    known[id(node)] = total
    return total
