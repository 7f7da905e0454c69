from __future__ import annotations

import pytest

from flambeau.errors import Failure

STREAM = """
from ts.handler_utils.utils import send_intermediate_predict_response
import time

def handle(data, context):
    if data is None:
        return None
    for n in range(int(bytes(data[0]["body"]))):
        send_intermediate_predict_response(
            [f"piece {n};" for _ in data], context.request_ids, "piece", 200, context)
    return ["last"] * len(data)
"""


def test_pieces_come_before_the_last_answer_of_each_request(worker):
    one = worker(STREAM)
    one.post({"body": ("", b"2")}, {"body": ("", b"")})
    for number in range(2):
        replies, answers = one.replies()
        assert not replies.timed
        assert [answer.body for answer in answers] == [b"piece %d;" % number] * 2
        assert all(answer.more for answer in answers)
        assert answers[0].headers == {"ts_stream_next": "true"}
    replies, answers = one.replies()
    assert replies.timed
    assert [(answer.body, answer.more) for answer in answers] == [(b"last", False)] * 2
    assert answers[0].headers == {}


def test_without_pieces_there_is_one_plain_answer(worker):
    one = worker(STREAM)
    (answer,) = one.predict(b"0")
    assert (answer.body, answer.more, answer.headers) == (b"last", False, {})


def test_headers_set_before_a_piece_travel_with_it(worker):
    one = worker("""
        from ts.protocol.otf_message_handler import send_intermediate_predict_response
        def handle(data, context):
            if data is None:
                return None
            context.set_response_content_type(0, "text/event-stream")
            send_intermediate_predict_response(
                [{"n": 1}], context.request_ids, "piece", 200, context)
            return [""]
    """)
    (piece,) = one.predict(b"")
    assert piece.headers == {"content-type": "text/event-stream", "ts_stream_next": "true"}
    assert piece.body == b'{\n  "n": 1\n}'
    assert one.replies()[1][0].body == b""


def test_an_exception_after_a_piece_fails_the_request(worker):
    one = worker("""
        from ts.handler_utils.utils import send_intermediate_predict_response as send
        def handle(data, context):
            if data is None:
                return None
            send(["piece"], context.request_ids, "piece", 200, context)
            raise ValueError("in the middle")
    """)
    (piece,) = one.predict(b"")
    assert piece.more
    replies, (end,) = one.replies()
    assert not replies.timed
    assert (end.failure, end.more) == (Failure.HANDLER, False)


def test_a_handler_learns_that_its_client_has_gone(worker):
    one = worker("""
        from ts.handler_utils.utils import send_intermediate_predict_response as send
        import time
        def handle(data, context):
            if data is None:
                return None
            for n in range(10_000):
                if context.is_cancelled():
                    return [f"stopped"] * len(data)
                send(["piece"] * len(data), context.request_ids, "piece", 200, context)
                time.sleep(0.002)
            return ["never noticed"] * len(data)
    """)
    (job,) = one.post({"body": ("", b"")})
    one.replies()
    one.cancel(job)
    answer = one.replies()[1][0]
    while answer.more:
        answer = one.replies()[1][0]
    assert answer.body == b"stopped"


def test_batches_sent_ahead_survive_the_search_for_cancellations(worker):
    one = worker("""
        import time
        def handle(data, context):
            if data is None:
                return None
            body = bytes(data[0]["body"]).decode()
            if body == "wait":
                end = time.monotonic() + 20
                while not context.is_cancelled() and time.monotonic() < end:
                    time.sleep(0.001)
            return [f"{body} {context.is_cancelled()}"]
    """)
    (first,) = one.post({"body": ("", b"wait")})
    (second,) = one.post({"body": ("", b"big" * 100_000)})
    one.post({"body": ("", b"third")})
    one.cancel(first, second)
    assert one.replies()[1][0].body == b"wait True"
    assert one.replies()[1][0].body == b"big" * 100_000 + b" True"
    assert one.replies()[1][0].body == b"third False"


@pytest.mark.parametrize("pieces", ["['a', 'b']", "[]"])
def test_a_wrong_number_of_pieces_is_refused(worker, pieces):
    one = worker(f"""
        from ts.handler_utils.utils import send_intermediate_predict_response as send
        def handle(data, context):
            if data is None:
                return None
            try:
                send({pieces}, context.request_ids, "piece", 200, context)
            except ValueError as error:
                return [str(error)]
    """)
    assert b"send one for each" in one.predict(b"")[0].body


def test_only_the_first_process_of_a_group_speaks(worker):
    one = worker(STREAM, environment={"LOCAL_RANK": "1"})
    assert one.predict(b"3")[0].body == b"last"
