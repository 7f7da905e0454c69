"""The original's wire, byte for byte as its own code writes and reads it."""

from __future__ import annotations

import io
import struct

import pytest

from flambeau.compat.wire import (
    create_load_model_response,
    create_predict_response,
    encode_response_headers,
    retrieve_msg,
)
from flambeau.worker.context import Context, RequestProcessor


class Bytes:
    def __init__(self, content):
        self.stream = io.BytesIO(content)

    def recv(self, size):
        return self.stream.read(min(size, 3))  # a socket may give less than asked


def number(value):
    return struct.pack("!i", value)


def text(value):
    return number(len(value)) + value


def test_a_load_message_is_read():
    message = b"L" + text(b"name") + text(b"/dir") + number(4) + text(b"h") + number(-1)
    command, fields = retrieve_msg(Bytes(message + text(b"env") + b"\x01"))
    assert command == b"L"
    assert fields == {
        "modelName": b"name",
        "modelPath": b"/dir",
        "batchSize": 4,
        "handler": b"h",
        "gpu": None,
        "envelope": b"env",
        "limitMaxImagePixels": True,
    }


def test_a_predict_message_is_read_and_decoded():
    message = b"I" + text(b"id1") + text(b"h") + text(b"v") + number(-1)
    message += text(b"body") + text(b"application/json") + text(b'{"a":1}')
    message += text(b"x") + text(b"") + text(b"raw") + number(-1) + number(-1)
    _, requests = retrieve_msg(Bytes(message))
    assert requests == [
        {
            "requestId": b"id1",
            "headers": [{"name": b"h", "value": b"v"}],
            "parameters": [
                {"name": "body", "contentType": "application/json", "value": {"a": 1}},
                {"name": "x", "contentType": "", "value": bytearray(b"raw")},
            ],
        }
    ]


def test_an_unknown_command_is_refused_and_the_end_ends_the_process():
    with pytest.raises(ValueError, match="Invalid command"):
        retrieve_msg(Bytes(b"Z"))
    with pytest.raises(SystemExit):
        retrieve_msg(Bytes(b""))


def test_answers_have_the_recorded_bytes():
    context = Context("m", "d", None, 1, None, "v")
    context.request_processor = [RequestProcessor({}), RequestProcessor({})]
    context.set_response_content_type(0, "text/x")
    context.set_response_header(1, "k", "v")
    context.set_response_status(201, "ph", 1)
    ids = {0: "r0", 1: "r1"}
    assert bytes(create_predict_response(["a", {"b": 1}], ids, "fine", 200, context)) == (
        number(200)
        + text(b"fine")
        + text(b"r0")
        + text(b"text/x")
        + number(200)
        + number(0)
        + number(1)
        + text(b"content-type")
        + text(b"text/x")
        + text(b"a")
        + text(b"r1")
        + number(0)
        + number(201)
        + text(b"ph")
        + number(1)
        + text(b"k")
        + text(b"v")
        + text(b'{\n  "b": 1\n}')
        + number(-1)
    )


def test_a_piece_of_a_stream_is_marked_and_the_last_one_unmarked():
    context = Context("m", "d", None, 1, None, "v")
    context.request_processor = [RequestProcessor({})]
    piece = create_predict_response(["a"], {0: "r"}, "x", 200, context, ts_stream_next=True)
    assert text(b"ts_stream_next") + text(b"true") in bytes(piece)
    last = create_predict_response(["a"], {0: "r"}, "x", 200, context)
    assert text(b"ts_stream_next") + text(b"false") in bytes(last)


def test_errors_are_told_for_every_request():
    answer = bytes(create_predict_response(None, {0: "r0", 1: "r1"}, "bad", 503))
    assert answer.startswith(number(503) + text(b"bad"))
    assert answer.count(text(b"error")) == 2
    answer = bytes(create_predict_response(["a", {1}], {0: "r0", 1: "r1"}, "fine", 200))
    assert answer.startswith(number(503) + text(b"Unsupported model output data type."))


def test_loads_and_headers_are_packed():
    assert bytes(create_load_model_response(200, "ok")) == number(200) + text(b"ok") + number(-1)
    assert encode_response_headers({"a": "b"}) == number(1) + text(b"a") + text(b"b")
