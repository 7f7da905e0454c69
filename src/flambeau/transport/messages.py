"""The messages between server and worker.

Server to worker: Load, Predict, Cancel, Stop, Ping. Worker to server: Loaded, Failed, Replies,
Pong. Bodies never enter the metadata: a message names their sizes, the frame carries them raw
behind it (``frames``). Structs are arrays on the wire; add fields at the end only.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(IntEnum):
    """First byte of a frame."""

    LOAD = 1
    PREDICT = 2
    CANCEL = 3
    STOP = 4
    PING = 5
    LOADED = 11
    FAILED = 12
    REPLIES = 13
    PONG = 14


class WorkerSettings(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What the server's settings say to every worker; made once, carried by each Load."""

    envelope: str = ""
    """Name of the request envelope; empty means none."""
    decode_input_request: bool = True
    limit_max_image_pixels: bool = True
    max_response_size: int = 6553500
    """Bytes."""
    metrics_config: str = ""
    """Path of a metrics.yaml; empty means the shipped one."""
    sequence_headers: tuple[str, str, str] = (
        "ts_request_sequence_id",
        "ts_request_sequence_start",
        "ts_request_sequence_end",
    )


class Load(msgspec.Struct, array_like=True, gc=False):
    """Make the model ready. Answered by Loaded or Failed."""

    model_name: str
    model_version: str
    model_dir: str
    handler: str
    batch_size: int
    gpu_id: int | None
    manifest: dict[str, Any] | None
    model_yaml_config: dict[str, Any] | None
    mode: str = "batches"
    """Which loop the worker runs: ``batches``, ``concurrent`` or ``steps`` (``jobs.modes``)."""
    model_yaml_text: str = ""
    """model-config.yaml as text, instead of ``model_yaml_config``, where msgpack cannot carry what
    it holds: dates, sets, keys that are no text."""
    worker_name: str = ""
    """``W-<id>-<model>_<version>``; names the process and the log lines."""
    settings: WorkerSettings = WorkerSettings()


Headers = msgspec.Raw
"""Headers as ``pack_headers`` wrote them. Clients send the same ones again and again, and few
handlers look at them: they are packed once, travel as bytes, and are unpacked when asked for."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[tuple[str, str]]).decode


def pack_headers(pairs: Sequence[tuple[str, str]]) -> Headers:
    """``pairs``, in their order and spelling, ready to travel."""
    return Headers(_pack(pairs))


def unpack_headers(headers: Headers) -> list[tuple[str, str]]:
    """The pairs that were packed."""
    return _unpack(headers)


NO_HEADERS = pack_headers([])


class PartHead(msgspec.Struct, array_like=True, gc=False):
    """One named input of a job; ``size`` bytes of the frame's blob section are its value."""

    name: str
    content_type: str
    size: int


class JobHead(msgspec.Struct, array_like=True, gc=False):
    """One job of a batch. Its parts lie in the blob section in the order given here."""

    id: int
    request_id: str
    headers: Headers
    parts: list[PartHead]


class Predict(msgspec.Struct, array_like=True, gc=False):
    """One batch for the handler. Answered by one or more Replies."""

    jobs: list[JobHead]


class Cancel(msgspec.Struct, array_like=True, gc=False):
    """The clients of these jobs have gone."""

    ids: list[int]


class Stop(msgspec.Struct, array_like=True, gc=False):
    """Finish what is held, then exit 0."""


class Ping(msgspec.Struct, array_like=True, gc=False):
    """Prove that you can read and answer."""


class Loaded(msgspec.Struct, array_like=True, gc=False):
    """The handler is ready."""


class Failed(msgspec.Struct, array_like=True, gc=False):
    """The model could not be loaded; the worker exits after saying so."""

    cause: str
    """First line of the exception: ``ValueError: no such label``."""
    where: str
    """File and line the user can open: ``handler.py:12``; empty when unknown."""
    out_of_memory: bool = False
    traceback: str = ""


class MetricPoint(msgspec.Struct, array_like=True, gc=False):
    """One value a handler recorded."""

    name: str
    value: float
    unit: str
    kind: str
    """``counter``, ``gauge`` or ``histogram``."""
    dimensions: list[tuple[str, str]]
    request_ids: str
    timestamp: int


class ReplyHead(msgspec.Struct, array_like=True, gc=False):
    """The answer to one job, or a piece of it.

    ``failure`` (``errors.Failure``) says what went wrong, which the server spells: the blob is the
    message, UTF-8, and ``status`` the handler's choice if it made one. ``more`` marks a piece:
    another reply to the same job follows. Without it the job is done.
    """

    id: int
    status: int
    phrase: str
    headers: list[tuple[str, str]]
    size: int
    failure: int = 0
    more: bool = False


class Replies(msgspec.Struct, array_like=True, gc=False):
    """Answers to some jobs, in the blob order of ``replies``."""

    replies: list[ReplyHead]
    handler_us: int = 0
    """Microseconds the handler took; 0 on pieces it sends while it runs."""
    metrics: list[MetricPoint] = msgspec.field(default_factory=list)
    timed: bool = False
    """The handler has returned, so that ``handler_us`` is the PredictionTime of these requests."""


class Pong(msgspec.Struct, array_like=True, gc=False):
    """Answer to Ping."""


Message = Load | Predict | Cancel | Stop | Ping | Loaded | Failed | Replies | Pong

KINDS: dict[type[Any], Kind] = {
    Load: Kind.LOAD,
    Predict: Kind.PREDICT,
    Cancel: Kind.CANCEL,
    Stop: Kind.STOP,
    Ping: Kind.PING,
    Loaded: Kind.LOADED,
    Failed: Kind.FAILED,
    Replies: Kind.REPLIES,
    Pong: Kind.PONG,
}
TYPES: dict[Kind, type[Any]] = {kind: type_ for type_, kind in KINDS.items()}
