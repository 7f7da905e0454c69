from __future__ import annotations

import pytest

from flambeau.errors import NoWorker, QueueFull
from flambeau.jobs.batching import BatchPolicy, DynamicBatcher, JobQueue
from flambeau.jobs.job import Answer, Job, Part
from flambeau.transport.messages import NO_HEADERS


class Seat:
    """A worker as a batcher sees it."""

    def __init__(self, *, idle: bool = True, room: int = 1 << 30, eager: bool = False):
        self.idle, self.room, self.eager = idle, room, eager


def fill(queue: JobQueue, marks: str) -> list[Job]:
    """Put one job a letter: ``.`` plain, ``a`` alone, ``x`` gone, ``!`` answered."""
    jobs = []
    for number, mark in enumerate(marks):
        job = Job(str(number), NO_HEADERS, [Part("body", "", [b"1"])], lambda *_: None)
        job.arrived = float(number)
        job.alone = mark == "a"
        queue.put(job)
        jobs.append(job)
        if mark == "x":
            job.cancel()
        elif mark == "!":
            job.fail(NoWorker("no"))
    return jobs


def jobs_of(marks: str, capacity: int = 100) -> tuple[JobQueue, list[Job]]:
    """A queue and the jobs it holds, see ``fill``."""
    queue = JobQueue(capacity, 'Model "m"')
    return queue, fill(queue, marks)


def names(jobs: list[Job]) -> str:
    return "".join(job.request_id for job in jobs)


@pytest.mark.parametrize(
    ("marks", "most", "taken", "left"),
    [
        ("", 3, "", 0),
        ("..", 3, "01", 0),
        ("....", 3, "012", 1),
        ("x.!.", 3, "13", 0),
        ("xxx", 3, "", 0),
        ("a..", 3, "0", 2),
        (".a.", 3, "0", 2),
        ("xa.", 3, "1", 1),
        ("aa", 3, "0", 1),
        ("..x.", 2, "01", 2),
    ],
)
def test_a_batch_is_taken_from_the_head(marks, most, taken, left):
    queue, _ = jobs_of(marks)
    batch = queue.take_first(most, 9.5)
    assert names(batch) == taken
    assert len(queue) == left
    assert {job.taken for job in batch} <= {9.5}


def test_a_gone_job_that_was_alone_ends_no_batch():
    queue, jobs = jobs_of(".a.")
    jobs[1].cancel()
    assert names(queue.take_first(3, 1.0)) == "02"


def test_a_full_queue_takes_no_more_until_somebody_has_gone():
    queue, jobs = jobs_of("...", capacity=3)
    late = Job("late", NO_HEADERS, [], lambda *_: None)
    with pytest.raises(QueueFull, match='Model "m" has 3 requests waiting'):
        queue.put(late)
    jobs[1].cancel()
    queue.put(late)
    assert names(queue.drain()) == "02late"


def test_what_is_pending_counts_no_dead():
    queue, _ = jobs_of(".x!.")
    assert (len(queue), queue.pending) == (4, 2)


def test_jobs_given_back_come_first_and_in_order_over_any_capacity():
    queue, _ = jobs_of("....", capacity=4)
    batch = queue.take_first(2, 1.0)
    queue.put(Job("4", NO_HEADERS, [], lambda *_: None))
    queue.put(Job("5", NO_HEADERS, [], lambda *_: None))
    queue.give_back(batch)
    assert {job.taken for job in batch} == {0.0}
    assert len(queue) == 6
    assert names(queue.drain()) == "012345"
    assert len(queue) == 0


def test_the_head_is_the_oldest_that_wants_an_answer():
    queue, jobs = jobs_of("x!.")
    assert queue.head() is jobs[2]
    assert len(queue) == 1
    jobs[2].cancel()
    assert queue.head() is None


STRICT, ADAPTIVE = True, False


@pytest.mark.parametrize(
    ("mode", "marks", "idle", "now", "taken"),
    [
        # batch size 3, delay 10 s; job n arrived at n seconds
        (ADAPTIVE, "", True, 0.0, ""),
        (ADAPTIVE, ".", True, 0.0, "0"),
        (ADAPTIVE, ".", False, 99.0, ""),
        (ADAPTIVE, "..", False, 99.0, ""),
        (ADAPTIVE, "...", False, 2.0, "012"),
        (ADAPTIVE, "....", True, 3.0, "012"),
        (ADAPTIVE, "xx.", False, 2.0, ""),
        (ADAPTIVE, "xx.", True, 2.0, "2"),
        (ADAPTIVE, "xxx", True, 2.0, ""),
        (ADAPTIVE, ".a.", True, 2.0, "0"),
        (STRICT, "", True, 99.0, ""),
        (STRICT, ".", True, 9.9, ""),
        (STRICT, ".", True, 10.0, "0"),
        (STRICT, ".", False, 99.0, ""),
        (STRICT, "..", True, 10.0, "01"),
        (STRICT, "x.", True, 10.0, ""),
        (STRICT, "x.", True, 11.0, "1"),
        (STRICT, "...", True, 2.0, "012"),
        (STRICT, "...", False, 2.0, "012"),
        (STRICT, "x..", True, 2.0, ""),
        (STRICT, "x..", False, 2.0, ""),
        (STRICT, "x...", True, 3.0, "123"),
        (STRICT, "xx", True, 99.0, ""),
        (STRICT, "a", True, 0.0, "0"),
        (STRICT, "a..", True, 2.0, "0"),
        (STRICT, ".a.", True, 2.0, "0"),
        (STRICT, ".xa", False, 2.0, "0"),
    ],
)
def test_which_jobs_go_next(mode, marks, idle, now, taken):
    batcher = DynamicBatcher(BatchPolicy(3, 10.0, mode))
    jobs = fill(batcher, marks)
    batch = batcher.take(Seat(idle=idle), now)
    assert names(batch) == taken
    left = [job for job in jobs if not (job.cancelled or job.answered or job in batch)]
    assert names(left) == names([job for job in batcher.drain() if not job.cancelled])


@pytest.mark.parametrize(
    ("mode", "marks", "now", "due"),
    [
        (ADAPTIVE, ".", 0.0, None),
        (STRICT, "", 0.0, None),
        (STRICT, ".", 4.0, 10.0),
        (STRICT, "x.", 4.0, 11.0),
        (STRICT, ".", 10.0, None),
        (STRICT, "xx", 1.0, None),
    ],
)
def test_when_it_may_be_otherwise(mode, marks, now, due):
    batcher = DynamicBatcher(BatchPolicy(3, 10.0, mode))
    fill(batcher, marks)
    assert batcher.due(now) == due


@pytest.mark.parametrize(
    ("seat", "taken"),
    [
        (Seat(room=2), "01"),
        (Seat(room=1), "0"),
        (Seat(room=9, idle=False), ""),
        (Seat(room=1, idle=False), "0"),
        (Seat(room=9, idle=False, eager=True), "01"),
    ],
)
def test_a_seat_gets_no_more_than_it_has_room_for(seat, taken):
    batcher = DynamicBatcher(BatchPolicy(3))
    fill(batcher, "..")
    assert names(batcher.take(seat, 5.0)) == taken


def test_a_job_is_answered_once():
    got: list[int] = []
    job = Job("1", NO_HEADERS, [], lambda _, answer: got.append(answer.status))
    job.answer(Answer(201))
    job.answer(Answer(202))
    job.fail(NoWorker("no"))
    job.cancel()
    assert got == [201]
    assert not job.cancelled


def test_a_stream_is_many_pieces_and_one_end():
    got: list[bytes] = []
    job = Job(
        "1", NO_HEADERS, [Part("body", "", [b"x"])], lambda _, answer: got.append(answer.body)
    )
    for body in (b"1", b"2"):
        job.answer(Answer(body=body, more=True))
        assert job.streaming
        assert not job.answered
    job.answer(Answer(body=b"3"))
    job.answer(Answer(body=b"4", more=True))
    assert got == [b"1", b"2", b"3"]
    assert job.answered


def test_a_gone_client_is_told_nothing_and_the_flow_once():
    told: list[Job] = []

    class Flow:
        def pause(self): ...
        def resume(self): ...
        def cancel(self, job):
            told.append(job)

    job = Job("1", NO_HEADERS, [Part("body", "", [b"x"])], lambda *_: pytest.fail("told"))
    job.flow = Flow()
    job.cancel()
    job.cancel()
    job.answer(Answer())
    assert told == [job]
    assert job.parts == []


def test_ids_are_never_used_twice():
    ids = [Job("", NO_HEADERS, [], lambda *_: None).id for _ in range(100)]
    assert sorted(set(ids)) == ids
