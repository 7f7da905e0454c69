from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from flambeau.transport import frames
from flambeau.transport.messages import Failed, Loaded, Pong, Predict

ECHO = """
def handle(data, context):
    if data is None:
        return None
    return [row["body"] for row in data]
"""


def test_a_worker_says_that_it_has_loaded(worker):
    assert isinstance(worker(ECHO).loaded, Loaded)


def test_a_batch_is_answered_in_its_order(worker):
    one = worker(ECHO)
    answers = one.predict(b"a", b"", b"ccc")
    assert [answer.body for answer in answers] == [b"a", b"", b"ccc"]
    assert [answer.head.id for answer in answers] == [1, 2, 3]


def test_batches_sent_ahead_are_answered_in_turn(worker):
    one = worker(ECHO)
    for number in range(50):
        one.post({"body": ("", b"%d" % number)})
    assert [one.replies()[1][0].body for _ in range(50)] == [b"%d" % n for n in range(50)]


def test_bodies_larger_than_every_buffer_travel_both_ways(worker):
    one = worker(ECHO, max_response_size=50_000_000)
    body = os.urandom(3_000_000)
    one.post({"body": ("", body)}, {"body": ("", b"small")}, {"body": ("", body[:70_000])})
    _, answers = one.replies()
    assert [answer.body for answer in answers] == [body, b"small", body[:70_000]]


def test_stop_ends_with_zero_after_what_was_sent_before(worker):
    one = worker(ECHO)
    one.post({"body": ("", b"last")})
    code = one.stop()
    assert one.replies()[1][0].body == b"last"
    assert code == 0


def test_the_end_of_the_socket_ends_the_worker(worker):
    one = worker(ECHO)
    one.reader.close()
    one.socket.close()
    assert one.wait() == 0


def test_an_answer_nobody_reads_any_more_ends_the_worker_quietly(worker):
    one = worker("""
        import time
        def handle(data, context):
            if data is None:
                return None
            time.sleep(0.2)
            return [b"x" * 1_000_000 for _ in data]
    """)
    one.post({"body": ("", b"")})
    one.reader.close()
    one.socket.close()
    assert one.wait() == 0
    assert one.errors == ""


def test_a_ping_is_answered(worker):
    assert worker(ECHO).ping() == Pong()


def test_a_light_worker_stays_light(worker):
    one = worker(ECHO)
    one.predict(b"")
    pages = int(Path(f"/proc/{one.process.pid}/statm").read_text(encoding="ascii").split()[1])
    assert pages * os.sysconf("SC_PAGE_SIZE") < 40 * 2**20


def test_sys_exit_in_a_handler_ends_the_worker_with_that_code(worker):
    one = worker("""
        import sys
        def handle(data, context):
            if data is not None:
                sys.exit(3)
    """)
    one.post({"body": ("", b"")})
    with pytest.raises(EOFError):
        one.receive()
    assert one.wait() == 3


def test_garbage_on_the_socket_is_reported_and_ends_the_worker(worker):
    one = worker(ECHO)
    one.socket.sendall(b"\xff" * 64)
    assert one.wait() == 2
    assert "unknown frame kind 255" in one.errors


def test_a_batch_before_the_model_is_refused(bare_worker):
    one = bare_worker()
    one.socket.sendall(frames.frame(Predict([])))
    assert one.wait() == 2
    assert "PREDICT before LOAD" in one.errors


def test_a_failed_load_is_told_and_the_worker_ends_with_one(worker):
    one = worker("def handle(data, context):\n    raise ValueError('no such label\\nsecond')\n")
    assert isinstance(one.loaded, Failed)
    assert one.loaded.cause == "ValueError: no such label"
    assert one.loaded.where == "handler_under_test.py:2"
    assert "second" in one.loaded.traceback
    assert not one.loaded.out_of_memory
    assert one.wait() == 1
    assert "Traceback (most recent call last)" in one.errors


def test_ctrl_c_is_left_to_the_server(worker):
    one = worker(ECHO)
    one.process.send_signal(signal.SIGINT)
    assert one.predict(b"still here")[0].body == b"still here"


def test_the_process_is_named_after_the_worker(worker):
    one = worker(ECHO)
    name = Path(f"/proc/{one.process.pid}/comm").read_text(encoding="utf-8")
    assert name.strip() == "W-9000-m_1.0"


def test_prints_reach_the_log_at_once(worker):
    one = worker("""
        import logging
        def handle(data, context):
            if data is None:
                print("loading now")
                logging.info("told by logging")
                return None
            return data
    """)
    assert one.process.stdout.readline() == "loading now\n"
    assert one.process.stdout.readline() == "told by logging\n"
