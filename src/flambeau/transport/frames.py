"""Messages to bytes and back; no sockets, no I/O.

A frame is ``<BII`` (kind, length of the metadata, length of all blobs), the metadata as msgpack,
then the blobs, back to back. No length is trusted beyond ``MAX_METADATA`` and ``MAX_BLOBS``:
a frame over either is a protocol error, since the other side is a process of ours.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec

from flambeau.transport.messages import KINDS, TYPES, Kind, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER = struct.Struct("<BII")
HEADER_SIZE = HEADER.size
MAX_METADATA = 64 * 1024 * 1024
MAX_BLOBS = 0xFFFFFFFF

_encoder = msgspec.msgpack.Encoder()
_decoders = {int(kind): msgspec.msgpack.Decoder(type_) for kind, type_ in TYPES.items()}


class ProtocolError(Exception):
    """The bytes are no frame of ours; the connection cannot go on."""


def head(message: Message, blob_size: int = 0) -> bytes:
    """Header and metadata of a frame; the caller sends ``blob_size`` bytes behind them.

    Raises ProtocolError when the blobs are over 4 GiB.
    """
    if blob_size > MAX_BLOBS:
        raise ProtocolError(f"blobs of {blob_size} bytes do not fit one frame")
    metadata = _encoder.encode(message)
    return HEADER.pack(KINDS[type(message)], len(metadata), blob_size) + metadata


def frame(message: Message, blobs: Sequence[bytes] = ()) -> bytes:
    """One whole frame as bytes."""
    return b"".join((head(message, sum(map(len, blobs))), *blobs))


def sizes(header: bytes) -> tuple[int, int, int]:
    """Kind, metadata length and blobs length out of ``HEADER_SIZE`` bytes.

    Raises ProtocolError for an unknown kind or an absurd length.
    """
    kind, metadata, blobs = HEADER.unpack(header)
    if kind not in _decoders:
        raise ProtocolError(f"unknown frame kind {kind}")
    if metadata > MAX_METADATA:
        raise ProtocolError(f"metadata of {metadata} bytes is over the limit")
    return kind, metadata, blobs


def decode(kind: int, metadata: bytes | memoryview) -> Any:
    """The message in ``metadata``.

    Raises ProtocolError when the bytes do not fit the kind.
    """
    try:
        return _decoders[kind].decode(metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"bad metadata of a {Kind(kind).name} frame: {error}") from error
