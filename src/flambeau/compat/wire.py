"""The byte protocol between the original's server and its workers.

flambeau does not speak it: its workers have their own frames. Kept for programs that embed a
worker (``ts.protocol.otf_message_handler``, ``ts.service``): integers are big-endian, 32 bits;
-1 ends a list.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from flambeau.worker.failures import PREDICTION_FAILED
from flambeau.worker.results import UNSUPPORTED, UnsupportedOutput, to_bytes
from flambeau.worker.rows import decode_json, decode_text, media_type

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from flambeau.worker.context import Context

bool_size: Final = 1
int_size: Final = 4
END_OF_LIST: Final = -1
LOAD_MSG: Final = b"L"
PREDICT_MSG: Final = b"I"
RESPONSE: Final = 3

_INT = struct.Struct("!i")
_END = _INT.pack(END_OF_LIST)


def retrieve_msg(conn: socket.socket) -> tuple[bytearray, Any]:
    """The next message: its command, and a dict (load) or a list of requests (predict).

    Raises ValueError for an unknown command, SystemExit when the other side has closed.
    """
    command = _bytes(conn, 1)
    if command == LOAD_MSG:
        return command, _load_message(conn)
    if command == PREDICT_MSG:
        return command, _requests(conn)
    raise ValueError(f"Invalid command: {command!r}")


def _bytes(conn: socket.socket, size: int) -> bytearray:
    received = bytearray()
    while len(received) < size:
        piece = conn.recv(size - len(received))
        if not piece:
            raise SystemExit(0)
        received += piece
    return received


def _int(conn: socket.socket) -> int:
    return int(_INT.unpack(_bytes(conn, int_size))[0])


def _field(conn: socket.socket) -> bytearray:
    return _bytes(conn, _int(conn))


def _load_message(conn: socket.socket) -> dict[str, Any]:
    message: dict[str, Any] = {"modelName": _field(conn), "modelPath": _field(conn)}
    message["batchSize"] = _int(conn)
    message["handler"] = _field(conn)
    gpu = _int(conn)
    message["gpu"] = gpu if gpu >= 0 else None
    message["envelope"] = _field(conn)
    message["limitMaxImagePixels"] = _bytes(conn, bool_size) != b"\0"
    return message


def _requests(conn: socket.socket) -> list[dict[str, Any]]:
    requests = []
    while (size := _int(conn)) != END_OF_LIST:
        request: dict[str, Any] = {"requestId": _bytes(conn, size), "headers": []}
        while (size := _int(conn)) != END_OF_LIST:
            request["headers"].append({"name": _bytes(conn, size), "value": _field(conn)})
        request["parameters"] = []
        while (size := _int(conn)) != END_OF_LIST:
            request["parameters"].append(_parameter(conn, size))
        requests.append(request)
    return requests


def _parameter(conn: socket.socket, name_size: int) -> dict[str, Any]:
    name = _bytes(conn, name_size).decode()
    content_type = _field(conn).decode()
    value: Any = _field(conn)
    if media_type(content_type) == "application/json":
        value = decode_json(value)
    elif content_type.startswith("text"):
        value = decode_text(value)
    return {"name": name, "contentType": content_type, "value": value}


def _packed(text: str | bytes | bytearray) -> bytes:
    raw = text.encode() if isinstance(text, str) else bytes(text)
    return _INT.pack(len(raw)) + raw


def create_load_model_response(code: int, message: str) -> bytearray:
    """The answer to a load message."""
    return bytearray(_INT.pack(code) + _packed(message) + _END)


def encode_response_headers(resp_hdr_map: Mapping[str, str]) -> bytes:
    """Headers as a counted list of names and values."""
    pairs = b"".join(_packed(name) + _packed(value) for name, value in resp_hdr_map.items())
    return _INT.pack(len(resp_hdr_map)) + pairs


def create_predict_response(  # noqa: PLR0917 - the public, positional signature
    ret: Sequence[Any] | None,
    req_id_map: Mapping[int, str],
    message: str,
    code: int,
    context: Context | None = None,
    ts_stream_next: bool = False,  # noqa: FBT001, FBT002 - positional in the public API
) -> bytearray:
    """The answer to a predict message; ``ret`` is None when ``message`` tells of an error."""
    bodies: list[bytes | bytearray] = [b"error"] * len(req_id_map)
    if ret is not None:
        try:
            bodies = [to_bytes(ret[index]) for index in req_id_map]
        except UnsupportedOutput:
            code, message = PREDICTION_FAILED, UNSUPPORTED
    packed = bytearray(_INT.pack(code) + _packed(message))
    for (index, request_id), body in zip(req_id_map.items(), bodies, strict=True):
        packed += _packed(request_id)
        if context is None:
            packed += _packed("") + _INT.pack(code) + _packed("") + encode_response_headers({})
        else:
            packed += _shape(context, index, more=ts_stream_next)
        packed += _packed(body)
    return packed + _END


def _shape(context: Context, index: int, *, more: bool) -> bytes:
    """Content type, status, phrase and headers of one answer."""
    headers = context.get_response_headers(index)
    if more:
        context.set_response_header(index, "ts_stream_next", "true")
    elif "ts_stream_next" in headers:
        context.set_response_header(index, "ts_stream_next", "false")
    status, phrase = context.get_response_status(index)
    return (
        _packed(context.get_response_content_type(index) or "")
        + _INT.pack(status)
        + _packed(phrase or "")
        + encode_response_headers(headers)
    )
