from __future__ import annotations

import re

import pytest

from flambeau.errors import InternalError, ModelNotFound, PredictionFailed, QueueFull
from flambeau.rest.replies import (
    HeaderBlocks,
    as_json,
    error_body,
    fresh_id,
    handler_status,
    phrase_of,
    shown_error,
)
from flambeau.rest.route import WrongMethod

PLAIN = HeaderBlocks([])
CORS = HeaderBlocks([("Access-Control-Allow-Origin", "https://app.example")])


def names(block):
    return [line.split(b":")[0].decode() for line in block.split(b"\r\n") if line]


def test_request_ids_are_fresh_random_uuids():
    ids = [fresh_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    shape = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(shape.fullmatch(one) for one in ids)


def test_headers_come_in_the_contracts_order():
    assert names(PLAIN.standard("id", "application/json")) == [
        "content-type",
        "x-request-id",
        "Pragma",
        "Cache-Control",
        "Expires",
    ]


def test_a_handler_cannot_override_protected_headers():
    block = PLAIN.of_handler("id", [("X-Request-Id", "mine"), ("EXPIRES", "now"), ("x", "1")])
    assert names(block) == ["x", "x-request-id", "Pragma", "Cache-Control", "Expires"]
    assert b"mine" not in block


@pytest.mark.parametrize(
    "pair", [("x", "a\r\nX-Evil: 1"), ("x", "a\x00"), ("x y", "1"), ("", "1"), ("x\r\ny", "1")]
)
def test_a_header_that_cannot_be_sent_is_dropped(pair):
    assert PLAIN.of_handler("id", [pair]) == PLAIN.of_handler("id", [])


def test_the_last_of_two_spellings_of_a_header_counts():
    block = PLAIN.of_handler("id", [("content-type", "a/b"), ("Content-Type", "c/d")])
    assert block.startswith(b"Content-Type: c/d\r\nx-request-id")


def test_header_values_are_latin_1():
    assert b"x: \xfc?\r\n" in PLAIN.of_handler("id", [("x", "ü\u4e00")])


def test_cors_headers_are_on_every_answer_unless_the_handler_set_them():
    line = b"Access-Control-Allow-Origin: https://app.example\r\n"
    assert line in CORS.standard("id")
    assert line in CORS.of_error("id", ModelNotFound("x"))
    own = CORS.of_handler("id", [("access-control-allow-origin", "*")])
    assert line not in own
    assert b"access-control-allow-origin: *\r\n" in own


def test_errors_name_when_to_come_back_and_what_is_allowed():
    assert b"retry-after: 1\r\n" in PLAIN.of_error("id", QueueFull("full"))
    assert b"allow: GET, POST\r\n" in PLAIN.of_error("id", WrongMethod(("GET", "POST")))


def test_an_error_body_has_the_contracts_layout():
    assert error_body(ModelNotFound('Model not found: "<b>ü')) == (
        b'{\n  "code": 404,\n  "type": "ModelNotFoundException",\n'
        b'  "message": "Model not found: \\"<b>\xc3\xbc"\n}\n'
    )


def test_empty_lists_and_objects_stay_on_one_line():
    assert as_json({"a": [], "b": {}}) == b'{\n  "a": [],\n  "b": {}\n}\n'


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (200, "OK"),
        (413, "Request Entity Too Large"),
        (507, "Insufficient Storage"),
        (513, "Server Error (513)"),
        (418, "I'm a Teapot"),
        (499, "Client Error (499)"),
    ],
)
def test_every_status_has_a_phrase(status, phrase):
    assert phrase_of(status) == phrase


@pytest.mark.parametrize("status", [99, 0, -1, 199, 600, 700, 1234])
def test_a_handler_status_that_ends_no_response_is_an_error(status):
    with pytest.raises(InternalError, match=f"status {status}"):
        handler_status(status, "")


@pytest.mark.parametrize("phrase", ["a\nb", "\u4e00"])
def test_a_phrase_that_cannot_be_sent_is_dropped(phrase):
    assert handler_status(201, phrase) == (201, "")


@pytest.mark.parametrize("code", [200, -1, 1234])
def test_a_prediction_exception_with_a_code_that_is_no_error_becomes_a_500(code):
    shown = shown_error(PredictionFailed("odd", code))
    assert (shown.status, shown.message) == (500, "odd")


def test_only_the_server_says_that_a_request_is_too_large():
    shown = shown_error(PredictionFailed("too large", 413))
    assert (shown.status, shown.message) == (507, "too large")


def test_what_is_not_ours_is_hidden():
    shown = shown_error(RuntimeError("secret"))
    assert shown.status == 500
    assert "secret" not in shown.message
