"""A feed over a real channel; the other end of the socket is read here."""

from __future__ import annotations

import asyncio
import socket

import pytest

from flambeau.errors import (
    Failure,
    HandlerFailed,
    InternalError,
    OutOfResources,
    PredictionFailed,
    WorkerDied,
)
from flambeau.jobs.feed import BatchFeed, Prefetch
from flambeau.jobs.job import Answer, Job, Part
from flambeau.supervision.channel import connect
from flambeau.transport import frames
from flambeau.transport.messages import (
    Cancel,
    Kind,
    Predict,
    Replies,
    ReplyHead,
    pack_headers,
    unpack_headers,
)


@pytest.fixture
async def line():
    """A feed, the worker's end of its socket, and the jobs whose clients have gone."""
    ours, theirs = socket.socketpair()
    channel = await connect(ours)
    theirs.settimeout(5)
    gone: list[Job] = []
    with theirs, theirs.makefile("rb") as reader:
        yield BatchFeed(channel, "W-1", gone.append, Prefetch()), reader, gone
    channel.close()
    await channel.ended


def some(count: int, *chunks: bytes) -> tuple[list[Job], dict[int, list[Answer]]]:
    """Jobs, and what each is answered."""
    answers: dict[int, list[Answer]] = {}

    def take(job: Job, answer: Answer) -> None:
        answers.setdefault(job.id, []).append(answer)

    parts = [Part("body", "text/plain", list(chunks) or [b"x"])]
    return [
        Job(f"r{n}", pack_headers([("k", "v")]), list(parts), take) for n in range(count)
    ], answers


def replies(jobs: list[Job], micros: int = 1000, **fields) -> tuple[Replies, list[bytes]]:
    heads = [ReplyHead(job.id, 200, "", [], 2) for job in jobs]
    return Replies(heads, handler_us=micros, **fields), [b"ok"] * len(jobs)


def read(reader) -> tuple[object, bytes]:
    kind, metadata, blobs = frames.sizes(reader.read(frames.HEADER_SIZE))
    return frames.decode(kind, reader.read(metadata)), reader.read(blobs)


async def test_one_write_carries_every_batch_added(line):
    feed, reader, _ = line
    jobs, _ = some(3, b"ab", b"c")
    feed.depth = 2
    feed.add(jobs[:2], 1.0)
    feed.add(jobs[2:], 1.0)
    feed.flush()
    feed.flush()
    first, body = read(reader)
    assert isinstance(first, Predict)
    assert [job.id for job in first.jobs] == [jobs[0].id, jobs[1].id]
    assert (first.jobs[0].request_id, unpack_headers(first.jobs[0].headers)) == ("r0", [("k", "v")])
    assert (first.jobs[0].parts[0].content_type, first.jobs[0].parts[0].size) == ("text/plain", 3)
    assert body == b"abcabc"
    assert read(reader)[1] == b"abc"


@pytest.mark.parametrize(
    ("prefetch", "micros", "depth"),
    [
        # depth = 1 + seconds of work ahead / mean handler time, at most `most`
        (Prefetch(0.005, 16), 0, 16),
        (Prefetch(0.005, 16), 100, 16),
        (Prefetch(0.005, 16), 1000, 6),
        (Prefetch(0.005, 16), 2500, 3),
        (Prefetch(0.005, 16), 5000, 2),
        (Prefetch(0.005, 16), 5001, 1),
        (Prefetch(0.005, 16), 60_000_000, 1),
        (Prefetch(0.0, 16), 100, 1),
        (Prefetch(0.005, 1), 100, 1),
        (Prefetch(0.005, 0), 100, 1),
    ],
)
async def test_how_far_ahead_a_worker_is_fed(line, prefetch, micros, depth):
    feed, _, _ = line
    feed._prefetch = prefetch
    assert feed.depth == 1, "nothing is known before the first reply"
    jobs, _ = some(1)
    feed.add(jobs, 1.0)
    feed.deliver(*replies(jobs, micros), 2.0)
    assert feed.depth == depth


async def test_the_mean_follows_slowly(line):
    feed, _, _ = line
    for micros in (1000, 6000):
        jobs, _ = some(1)
        feed.add(jobs, 1.0)
        feed.deliver(*replies(jobs, micros), 2.0)
    assert feed.depth == 1 + int(0.005 / 0.002)


async def test_there_is_room_for_as_many_batches_as_its_depth(line):
    feed, _, _ = line
    assert feed.room
    assert feed.idle
    jobs, _ = some(2)
    feed.add(jobs[:1], 1.0)
    assert not feed.room
    feed.depth = 2
    assert feed.room
    assert not feed.idle
    assert list(feed.held()) == jobs[:1]
    feed.retired = True
    assert not feed.room


async def test_there_is_no_room_in_a_worker_that_has_gone(line):
    feed, _, _ = line
    feed.channel.close()
    await feed.channel.ended
    assert not feed.room


async def test_only_the_first_batch_fails_with_its_worker(line):
    feed, _, _ = line
    jobs, answers = some(6)
    for start in (0, 2, 4):
        feed.add(jobs[start : start + 2], 1.0)
    rest = feed.lose(WorkerDied(killed=True))
    assert rest == jobs[2:]
    assert {job: [a.status for a in got] for job, got in answers.items()} == {
        jobs[0].id: [507],
        jobs[1].id: [507],
    }
    assert feed.lose(WorkerDied()) == []
    assert not feed.batches


async def test_the_answered_of_a_lost_batch_stay_answered(line):
    feed, _, _ = line
    jobs, answers = some(2)
    feed.add(jobs, 1.0)
    assert feed.deliver(*replies(jobs[:1]), 2.0) is None
    assert feed.lose(WorkerDied()) == []
    assert [answers[job.id][0].status for job in jobs] == [200, 500]


async def test_a_reply_for_nobody_is_dropped(line):
    feed, _, _ = line
    strangers, _ = some(1)
    assert feed.deliver(*replies(strangers), 1.0) is None
    jobs, answers = some(1)
    feed.add(jobs, 1.0)
    assert feed.deliver(*replies([*strangers, *jobs]), 1.0) is not None
    assert list(answers) == [jobs[0].id]


async def test_a_batch_is_done_when_each_of_its_jobs_is(line):
    feed, _, _ = line
    jobs, _ = some(2)
    feed.add(jobs, 1.0)
    assert feed.deliver(*replies(jobs[:1], 1000), 2.0) is None
    done = feed.deliver(*replies(jobs[1:], 500), 3.0)
    assert done is not None
    assert (done.members, done.handler_us, done.began) == (jobs, 1500, 1.0)


async def test_a_worker_that_goes_on_to_the_next_batch_leaves_no_job_unanswered(line):
    feed, _, _ = line
    jobs, answers = some(3)
    feed.depth = 2
    feed.add(jobs[:2], 1.0)
    feed.add(jobs[2:], 1.0)
    feed.deliver(*replies(jobs[:1]), 2.0)
    assert feed.deliver(*replies(jobs[2:]), 3.0) is not None
    error = answers[jobs[1].id][0].error
    assert isinstance(error, InternalError)
    assert "no answer" in str(error)
    assert feed.idle


async def test_time_is_counted_from_when_the_worker_could_begin(line):
    feed, _, _ = line
    jobs, _ = some(2)
    feed.depth = 2
    feed.add(jobs[:1], 100.0)
    feed.add(jobs[1:], 100.0)
    assert not feed.overdue(10.0, 110.0)
    assert feed.overdue(10.0, 110.1)
    feed.deliver(*replies(jobs[:1]), 108.0)
    assert not feed.overdue(10.0, 118.0)
    assert feed.overdue(10.0, 118.1)
    assert feed.batches[0].began == 108.0


async def test_a_piece_starts_the_time_anew(line):
    feed, _, _ = line
    jobs, answers = some(1)
    feed.add(jobs, 100.0)
    piece = Replies([ReplyHead(jobs[0].id, 200, "", [], 1, more=True)])
    feed.deliver(piece, [b"p"], 107.0)
    assert not feed.overdue(10.0, 117.0)
    assert feed.overdue(10.0, 117.1)
    assert feed.batches[0].began == 100.0
    assert answers[jobs[0].id][0].more


async def test_held_back_the_worker_has_all_the_time(line):
    feed, _, _ = line
    jobs, _ = some(1)
    feed.add(jobs, 100.0)
    feed.pause()
    feed.pause()
    assert not feed.overdue(10.0, 500.0)
    feed.resume()
    assert not feed.overdue(10.0, 900.0)
    feed.resume()
    assert feed.batches[0].heard > 0
    feed.lose(WorkerDied())
    feed.pause()
    feed.resume()


async def test_the_worker_is_told_that_a_client_has_gone(line):
    feed, reader, gone = line
    jobs, _ = some(1)
    feed.add(jobs, 1.0)
    feed.flush()
    read(reader)
    jobs[0].cancel()
    await asyncio.sleep(0)
    assert read(reader)[0] == Cancel([jobs[0].id])
    assert gone == jobs


@pytest.mark.parametrize(
    ("failure", "chosen", "kind", "status"),
    [
        (Failure.RESOURCES, 0, OutOfResources, 507),
        (Failure.HANDLER, 0, HandlerFailed, 503),
        (Failure.INTERNAL, 0, InternalError, 500),
        (Failure.CHOSEN, 418, PredictionFailed, 418),
        (Failure.CHOSEN, 404, PredictionFailed, 404),
    ],
)
async def test_failures_that_a_worker_reports_find_their_error(line, failure, chosen, kind, status):
    feed, _, _ = line
    jobs, answers = some(1)
    feed.add(jobs, 1.0)
    head = ReplyHead(jobs[0].id, chosen, "", [], 2, failure)
    feed.deliver(Replies([head]), [b"\xc3\x28"], 2.0)
    answer = answers[jobs[0].id][0]
    assert type(answer.error) is kind
    assert (answer.status, answer.error.status) == (status, status)
    assert str(answer.error) == "\N{REPLACEMENT CHARACTER}("
    assert answer.worker == "W-1"


async def test_jobs_too_large_for_a_frame_are_not_taken(line, monkeypatch):
    feed, reader, _ = line
    monkeypatch.setattr(frames, "MAX_BLOBS", 4)
    jobs, _ = some(1, b"12345")
    with pytest.raises(frames.ProtocolError):
        feed.add(jobs, 1.0)
    assert not feed.batches
    feed.flush()
    feed.channel.send(Cancel([]))
    await asyncio.sleep(0)
    assert frames.sizes(reader.read(frames.HEADER_SIZE))[0] == Kind.CANCEL
