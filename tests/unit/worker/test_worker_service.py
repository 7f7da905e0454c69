from __future__ import annotations

import pytest

FAULTS = """
from ts.utils.util import PredictionException
import asyncio

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def handle(data, context):
    if data is None:
        return None
    mode = bytes(data[0]["body"]).decode()
    if mode.startswith("code:"):
        raise PredictionException("my own text", eval(mode[5:]))
    if mode == "raise":
        raise ValueError("inner detail")
    if mode == "odd":
        raise Odd
    if mode == "memory":
        raise MemoryError
    if mode == "cuda":
        raise RuntimeError("CUDA out of memory")
    if mode == "set":
        return ["fine"] * (len(data) - 1) + [{1, 2}]
    if mode == "big":
        return ["x" * 2000] + ["small"] * (len(data) - 1)
    if mode == "deep":
        def fall(): return fall()
        fall()
    if mode == "async":
        async def later():
            await asyncio.sleep(0)
            return ["later"]
        return later()
    return {"dict": {}, "tuple": ("x",), "none": None, "many": ["a"] * 9, "empty": []}.get(
        mode, ["ok"] * len(data))
"""


@pytest.fixture
def faults(worker):
    return worker(FAULTS, max_response_size=1000)


@pytest.mark.parametrize(
    ("mode", "status", "text"),
    [
        ("raise", 503, "Prediction failed"),
        ("odd", 503, "Prediction failed"),
        ("deep", 503, "Prediction failed"),
        ("memory", 507, "Out of resources"),
        ("cuda", 507, "Out of resources"),
        ("code:513", 513, "my own text"),
        ("code:404", 404, "my own text"),
        ("code:413", 413, "my own text"),
        ("code:302", 302, "my own text"),
        ("code:1234", 500, "my own text"),
        ("code:-1", 500, "my own text"),
        ("code:'400'", 500, "my own text"),
        ("code:None", 500, "my own text"),
        ("dict", 503, "Invalid model predict output"),
        ("tuple", 503, "Invalid model predict output"),
        ("none", 503, "Invalid model predict output"),
        ("many", 503, "number of batch response mismatched"),
        ("empty", 503, "number of batch response mismatched"),
        ("set", 503, "Unsupported model output data type."),
    ],
)
def test_a_fault_is_told_to_every_request_and_the_worker_lives_on(faults, mode, status, text):
    for answer in faults.predict(mode.encode(), b"neighbour"):
        assert (answer.failed, answer.status, answer.body.decode()) == (True, status, text)
    assert faults.predict(b"ok")[0].body == b"ok"


def test_a_traceback_is_found_by_the_request_id_and_stays_out_of_the_answer(faults):
    answers = faults.predict(b"raise", b"neighbour")
    assert b"inner detail" not in answers[0].body
    faults.stop()
    lines = [line for line in faults.errors.splitlines() if "request-2" in line]
    assert lines[0] == "[request-1,request-2] Traceback (most recent call last):"
    assert lines[-1] == "[request-1,request-2] ValueError: inner detail"


def test_an_answer_over_the_limit_fails_alone(faults):
    big, small = faults.predict(b"big", b"neighbour")
    assert (big.failed, big.status) == (True, 500)
    assert b"2000 bytes is over max_response_size (1000)" in big.body
    assert (small.failed, small.body) == (False, b"small")


def test_what_an_awaitable_comes_to_is_the_answer(faults):
    assert faults.predict(b"async")[0].body == b"later"


def test_the_handler_time_and_the_prediction_metric_travel_with_the_answers(worker):
    one = worker("""
        import time
        def handle(data, context):
            if data is None:
                return None
            time.sleep(0.02)
            context.metrics.add_counter("Seen", len(data))
            return ["x"] * len(data)
    """)
    one.post({"body": ("", b"")}, {"body": ("", b"")})
    replies, _ = one.replies()
    assert replies.done
    assert replies.handler_us >= 20_000
    assert replies.timed
    [seen] = replies.metrics
    assert (seen.name, seen.value, seen.unit, seen.kind) == ("Seen", 2, "Count", "counter")
    assert seen.dimensions == [("ModelName", "m"), ("Level", "Model")]
    assert seen.request_ids == "request-1,request-2"


def test_metrics_of_a_failed_batch_are_not_lost(worker):
    one = worker("""
        def handle(data, context):
            if data is not None:
                context.metrics.add_error("Bad", 1)
                raise ValueError
    """)
    one.post({"body": ("", b"")})
    replies, _ = one.replies()
    assert not replies.timed
    (point,) = replies.metrics
    assert (point.name, point.unit, point.dimensions) == ("Bad", "unit", [("Level", "Error")])


def test_decoding_can_be_switched_off(worker):
    source = """
        import os
        def handle(data, context):
            if data is None:
                return None
            return [type(row["body"]).__name__ + os.environ["TS_DECODE_INPUT_REQUEST"]
                    for row in data]
    """
    on = worker(source)
    assert on.predict(b"{}", kind="application/json")[0].body == b"dicttrue"
    off = worker(source, decode_input_request=False)
    assert off.predict(b"{}", kind="application/json")[0].body == b"bytearrayfalse"


def test_status_and_headers_go_to_their_own_answer(worker):
    one = worker("""
        def handle(data, context):
            if data is None:
                return None
            context.set_response_status(418, "Teapot", 1)
            context.set_response_header(1, "X-Mine", "1")
            context.set_response_content_type(0, "text/plain")
            return ["a", "b"]
    """)
    first, second = one.predict(b"", b"")
    assert (first.status, first.headers) == (200, {"content-type": "text/plain"})
    assert (second.status, second.head.phrase) == (418, "Teapot")
    assert second.headers == {"X-Mine": "1"}
    fresh, _ = one.predict(b"", b"")
    assert fresh.head.phrase == ""


def test_stopping_criteria_say_which_answers_go_on(worker):
    one = worker("""
        def handle(data, context):
            if data is None:
                return None
            context.stopping_criteria = [lambda out: out == "stop", lambda out: False, None]
            return ["stop", "go", "plain"]
    """)
    last, going, plain = one.predict(b"", b"", b"")
    assert [answer.more for answer in (last, going, plain)] == [False, True, False]
    assert last.headers == {"ts_stream_next": "false"}
    assert going.headers == {"ts_stream_next": "true"}
    assert plain.headers == {}
