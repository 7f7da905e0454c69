from __future__ import annotations

import pytest

from flambeau.errors import Failure

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
    ("mode", "failure", "text"),
    [
        ("raise", Failure.HANDLER, "Prediction failed"),
        ("odd", Failure.HANDLER, "Prediction failed"),
        ("deep", Failure.HANDLER, "Prediction failed"),
        ("memory", Failure.RESOURCES, "Out of resources"),
        ("cuda", Failure.RESOURCES, "Out of resources"),
        ("code:513", 513, "my own text"),
        ("code:404", 404, "my own text"),
        ("code:413", 413, "my own text"),
        ("code:302", 302, "my own text"),
        ("code:1234", 500, "my own text"),
        ("code:-1", 500, "my own text"),
        ("code:'400'", 500, "my own text"),
        ("code:None", 500, "my own text"),
        ("dict", Failure.HANDLER, "Invalid model predict output"),
        ("tuple", Failure.HANDLER, "Invalid model predict output"),
        ("none", Failure.HANDLER, "Invalid model predict output"),
        ("many", Failure.HANDLER, "number of batch response mismatched"),
        ("empty", Failure.HANDLER, "number of batch response mismatched"),
        ("set", Failure.HANDLER, "Unsupported model output data type."),
    ],
)
def test_a_fault_is_told_to_every_request_and_the_worker_lives_on(faults, mode, failure, text):
    """``failure`` is a kind, or the number that the handler chose."""
    for answer in faults.predict(mode.encode(), b"neighbour"):
        told = answer.status if answer.failure is Failure.CHOSEN else answer.failure
        assert (told, answer.body.decode()) == (failure, text)
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
    assert big.failure is Failure.INTERNAL
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


COUNTDOWN = """
    calls = 0
    def handle(data, context):
        global calls
        if data is None:
            return None
        calls += 1
        steps = context.steps = {**getattr(context, "steps", {})}
        for index, row in enumerate(data):
            if row:  # a job that goes on comes again without its inputs
                steps[context.get_request_id(index)] = int(bytes(row["body"]))
        ids = [context.get_request_id(index) for index in range(len(data))]
        left = []
        for one in ids:
            steps[one] -= 1
            left.append(steps[one])
        context.stopping_criteria = [lambda out, n=n: n <= 0 for n in left]
        return [f"{n};{calls};{len(data)}" for n in left]
"""


def pieces_of(one, *ids: int) -> dict[int, list[str]]:
    """All pieces of each job, until each has had its last."""
    got: dict[int, list[str]] = {job: [] for job in ids}
    waiting = set(ids)
    while waiting:
        for answer in one.replies()[1]:
            got[answer.head.id].append(answer.body.decode())
            if not answer.more:
                waiting.remove(answer.head.id)
    return got


def test_a_job_whose_stopping_criterion_says_go_on_goes_on(worker):
    one = worker(COUNTDOWN)
    short, long = one.post({"body": ("", b"1")}, {"body": ("", b"3")})
    assert pieces_of(one, short, long) == {
        short: ["0;1;2"],
        long: ["2;1;2", "1;2;1", "0;3;1"],
    }
    (later,) = one.post({"body": ("", b"1")})
    assert pieces_of(one, later) == {later: ["0;4;1"]}


def test_a_job_that_goes_on_ends_when_its_client_has_gone(worker):
    one = worker(COUNTDOWN)
    endless, other = one.post({"body": ("", b"1000000")}, {"body": ("", b"1000000")})
    one.replies()
    one.cancel(endless, other)
    waiting = {endless, other}
    while waiting:
        waiting -= {answer.head.id for answer in one.replies()[1] if not answer.more}
    assert one.stop() == 0


def test_stopping_criteria_mark_the_pieces(worker):
    one = worker("""
        def handle(data, context):
            if data is None:
                return None
            if not data[0]:
                context.stopping_criteria = [lambda out: True]
                return ["end"]
            context.stopping_criteria = [lambda out: out == "stop", lambda out: False, None]
            return ["stop", "go", "plain"]
    """)
    last, going, plain = one.predict(b"", b"", b"")
    assert [answer.more for answer in (last, going, plain)] == [False, True, False]
    assert last.headers == {"ts_stream_next": "false"}
    assert going.headers == {"ts_stream_next": "true"}
    assert plain.headers == {}
    (end,) = one.replies()[1]
    assert (end.head.id, end.body, end.more) == (going.head.id, b"end", False)
