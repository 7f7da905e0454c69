"""model-config.yaml as a typed value.

Read once per registration by ``archive.store``; ``control`` settles the values, workers receive
the raw document. A value of the wrong type is left out with a warning that names it, so that one
slip does not take the model down; it never raises for what a file contains.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
import yaml
from msgspec import Meta, field

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("flambeau.archive")

MOST_BYTES = 256 << 10
MOST_DEPTH = 100
MOST_NODES = 200_000
"""Most values a document may have once its aliases are written out."""

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where it was built in: ten times as fast, and a register call waits for it."""

SURROGATE = re.compile(r"[\ud800-\udfff]")
INT_MAX = 2**31 - 1
Int = Annotated[int, Meta(ge=-INT_MAX - 1, le=INT_MAX)]
Count = Annotated[int, Meta(ge=0, le=INT_MAX)]
Positive = Annotated[int, Meta(ge=1, le=INT_MAX)]


class TorchRun(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """The ``torchrun`` map: how one worker spreads over several processes."""

    nnodes: Positive = 1
    nproc_per_node: Positive = 1
    rdzv_backend: str = "c10d"
    rdzv_endpoint: str | None = None
    rdzv_conf: str | None = None
    monitor_interval: Count = 5
    node_rank: Count = 0
    omp_number_threads: Positive = field(default=1, name="OMP_NUMBER_THREADS")


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The keys the server reads. None means "not given": ``control`` then takes its defaults."""

    min_workers: Int | None = None
    max_workers: Count | None = None
    batch_size: Int | None = None
    max_batch_delay: Count | None = None
    """Milliseconds."""
    response_timeout: Positive | None = None
    """Seconds."""
    startup_timeout: Positive | None = None
    """Seconds."""
    device_type: Literal["cpu", "gpu"] | None = None
    device_ids: tuple[Count, ...] | None = None
    parallel_type: Literal["pp", "tp", "pptp", "custom"] | None = None
    parallel_level: Count = 0
    torchrun: TorchRun | None = None
    max_retry_timeout: Count = field(default=300, name="maxRetryTimeoutInSec")
    """Seconds during which a failing worker is started again and counts as healthy."""
    client_timeout: Count = field(default=0, name="clientTimeoutInMills")
    """Milliseconds; 0 means never."""
    job_queue_size: Positive | None = None
    use_job_ticket: bool = False
    continuous_batching: bool = False
    async_communication: bool = False
    sequence_batching: bool = False
    sequence_max_idle: Count = field(default=0, name="sequenceMaxIdleMSec")
    """Milliseconds."""
    sequence_timeout: Count = field(default=0, name="sequenceTimeoutMSec")
    """Milliseconds; 0 means none."""
    max_num_sequence: Int = 1
    max_sequence_job_queue_size: Int = 1
    use_venv: bool = False


# Values below one are lifted to one for these; anywhere else an out-of-range value is left out.
LIFTED = frozenset({"minWorkers", "batchSize", "maxNumSequence", "maxSequenceJobQueueSize"})

Settings = TypeVar("Settings", ModelConfig, TorchRun)


def read_model_config(path: Path, shown: str) -> tuple[ModelConfig, dict[str, Any] | None]:
    """The settings in the YAML file at ``path``, typed and as written.

    ``shown`` names the file in the log. A file that cannot be read or parsed: an error line,
    defaults, and None for the document. An empty file has no keys: defaults and ``{}``.
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
    torchrun = document.get("torchrun")
    config = _settings(ModelConfig, {**document, "torchrun": None}, shown)
    if torchrun is None:
        return config, document
    if not isinstance(torchrun, dict):
        _left_out(shown, "torchrun", torchrun, "expected a map")
        return config, document
    for key in torchrun.keys() - {f.encode_name for f in msgspec.structs.fields(TorchRun)}:
        _left_out(shown, f"torchrun.{key}", torchrun[key], "unsupported parameter")
    spread = _settings(TorchRun, torchrun, shown, "torchrun.")
    config = msgspec.structs.replace(config, torchrun=spread, parallel_level=spread.nproc_per_node)
    return config, document


def _settings(
    kind: type[Settings], document: dict[Any, Any], shown: str, prefix: str = ""
) -> Settings:
    values: dict[str, Any] = {}
    for entry in msgspec.structs.fields(kind):
        key = entry.encode_name
        value = document.get(key)
        if value is None:
            continue
        if key in LIFTED and type(value) is int and -INT_MAX <= value < 1:
            log.warning("model config value raised file=%s key=%s value=%d to=1", shown, key, value)
            value = 1
        try:
            values[entry.name] = msgspec.convert(value, entry.type, strict=True)
        except msgspec.ValidationError as error:
            _left_out(shown, prefix + key, value, str(error))
    return kind(**values)


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
