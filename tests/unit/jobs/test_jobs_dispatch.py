"""Dispatch with real workers over real sockets."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

import pytest

from flambeau.errors import (
    DeadlineExceeded,
    NoWorker,
    QueueFull,
    RequestTooLarge,
    ShuttingDown,
    Unregistered,
    WorkerDied,
)
from flambeau.jobs.feed import Prefetch
from flambeau.transport import frames

pytestmark = pytest.mark.usefixtures("loud_loop")

NO_PREFETCH = Prefetch(seconds=0.0, most=1)


def rejected(metrics) -> dict[str, float]:
    """How many requests were refused, by reason."""
    lines = b"".join(metrics.exposition(["flambeau_rejected_total"])).decode().splitlines()
    return {
        line.partition('reason="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
        for line in lines
        if not line.startswith("#")
    }


async def test_jobs_that_arrive_together_leave_together(live, told):
    one = await live(batch_size=4)
    answers = await asyncio.gather(*(one.ask(f"{n}") for n in range(4)))
    assert [told(answer).size for answer in answers] == [4, 4, 4, 4]
    assert [told(answer).said for answer in answers] == ["0", "1", "2", "3"]


async def test_adaptive_never_waits_for_company(live):
    one = await live(batch_size=8, max_batch_delay=60_000)
    assert (await one.told()).size == 1


async def test_adaptive_batches_grow_while_the_worker_is_busy(live, told, tmp_path):
    one = await live(batch_size=8, prefetch=NO_PREFETCH)
    gate = tmp_path / "gate"
    first = one.ask(f"until {gate}")
    await asyncio.sleep(0.02)
    rest = [one.ask() for _ in range(5)]
    await asyncio.sleep(0.02)
    gate.touch()
    assert told(await first).size == 1
    assert [told(answer).size for answer in await asyncio.gather(*rest)] == [5] * 5


async def test_strict_waits_for_the_delay_counted_from_arrival(live, told):
    one = await live(batch_size=8, max_batch_delay=900, shop={"strict_batching": True})
    job, _ = one.job()
    first = one.ask()
    await asyncio.sleep(0.15)  # the passing of time is what this is about
    second = one.ask()
    assert told(await first).size == 2
    assert told(await second).size == 2
    assert monotonic() - job.arrived > 0.88


async def test_strict_sends_a_full_batch_at_once(live, told):
    one = await live(batch_size=3, max_batch_delay=9000, shop={"strict_batching": True})
    answers = await asyncio.gather(*(one.ask() for _ in range(3)))
    assert [told(answer).size for answer in answers] == [3, 3, 3]


async def test_strict_delay_has_run_out_while_the_worker_was_busy(live, told, tmp_path):
    one = await live(
        batch_size=4, max_batch_delay=200, shop={"strict_batching": True}, prefetch=NO_PREFETCH
    )
    gate = tmp_path / "gate"
    busy = [one.ask(f"until {gate}") for _ in range(4)]
    await asyncio.sleep(0.02)
    waiting = one.ask()
    await asyncio.sleep(0.3)
    gate.touch()
    await asyncio.gather(*busy)
    late = one.ask()
    assert told(await waiting).size == 1, "it waited for company although its time was up"
    assert told(await late).size == 1


async def test_strict_a_batch_of_the_gone_is_not_full(live, told):
    one = await live(batch_size=4, max_batch_delay=300, shop={"strict_batching": True})
    begun = monotonic()
    gone = [one.job() for _ in range(3)]
    for job, _ in gone:
        one.version.accept(job)
        job.cancel()
    assert told(await one.ask()).size == 1
    assert monotonic() - begun > 0.28


async def test_collecting_for_one_worker_never_blocks_another(live, told, tmp_path):
    one = await live(
        workers=2, batch_size=4, max_batch_delay=60_000, shop={"strict_batching": True}
    )
    early = one.ask()
    await asyncio.sleep(0.05)
    full = await asyncio.gather(*(one.ask() for _ in range(3)))
    later = await asyncio.gather(*(one.ask() for _ in range(4)))
    assert [told(answer).size for answer in (await early, *full, *later)] == [4] * 8


async def test_idle_workers_share_the_work(live, told, tmp_path):
    one = await live(workers=2, shop={"forked": True})
    gate = tmp_path / "gate"
    held = [one.ask(f"until {gate}") for _ in range(2)]
    await asyncio.sleep(0.05)
    assert one.dispatcher.in_flight == 2
    gate.touch()
    pids = {told(answer).pid for answer in await asyncio.gather(*held)}
    assert len(pids) == 2


async def test_a_job_alone_is_a_batch_of_its_own(live, told, tmp_path):
    one = await live(batch_size=8, prefetch=NO_PREFETCH)
    gate = tmp_path / "gate"
    first = one.ask(f"until {gate}")
    await asyncio.sleep(0.02)
    asked = [one.ask("a"), one.ask("b"), one.ask("alone", alone=True), one.ask("c")]
    gate.touch()
    answers = [told(answer) for answer in await asyncio.gather(*asked)]
    assert [(answer.said, answer.size) for answer in answers] == [
        ("a", 2),
        ("b", 2),
        ("alone", 1),
        ("c", 1),
    ]
    await first


async def test_strict_a_job_alone_does_not_wait(live, told):
    one = await live(batch_size=8, max_batch_delay=9000, shop={"strict_batching": True})
    assert told(await asyncio.wait_for(one.ask(alone=True), 3)).size == 1


async def test_a_job_whose_client_has_gone_never_reaches_a_worker(live, tmp_path):
    one = await live(prefetch=NO_PREFETCH)
    gate, noted = tmp_path / "gate", tmp_path / "noted"
    first = one.ask(f"until {gate}")
    await asyncio.sleep(0.02)
    job, answered = one.job(f"note {noted}")
    one.version.accept(job)
    job.cancel()
    gate.touch()
    await first
    await one.told()
    assert not noted.exists()
    assert not answered.done()


async def test_a_client_that_waits_too_long_is_answered_and_frees_its_place(
    live, tmp_path, metrics
):
    one = await live(config={"client_timeout": 150}, queue_size=1, prefetch=NO_PREFETCH)
    gate = tmp_path / "gate"
    running = one.ask(f"until {gate}")
    await asyncio.sleep(0.02)
    queued = one.ask()
    with pytest.raises(QueueFull):
        one.ask()
    for answered in (running, queued):
        answer = await asyncio.wait_for(answered, 2)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.status == 503
        assert "150 ms" in answer.error.message
    assert rejected(metrics) == {"queue_full": 1.0, "deadline": 2.0}
    later = one.ask()
    gate.touch()
    assert (await later).error is None


async def test_client_deadlines_are_kept_after_a_face_failed(live, tmp_path, caplog):
    one = await live(config={"client_timeout": 100}, prefetch=NO_PREFETCH)
    gate = tmp_path / "gate"
    running = one.ask(f"until {gate}")
    await asyncio.sleep(0.02)
    broken, _ = one.job()
    broken.on_answer = lambda *_: 1 / 0
    one.version.accept(broken)
    await running
    await asyncio.sleep(0.02)
    assert isinstance((await asyncio.wait_for(one.ask(), 2)).error, DeadlineExceeded)
    assert "could not be delivered" in caplog.text
    gate.touch()


async def test_answered_jobs_keep_no_inputs_until_their_deadline(live):
    one = await live(config={"client_timeout": 60_000})
    jobs = []
    for _ in range(5):
        job, answered = one.job("x" * 1000)
        one.version.accept(job)
        await answered
        jobs.append(job)
    assert [job.parts for job in jobs] == [[]] * 5
    assert len(one.dispatcher._deadlines) == 1


async def test_a_face_that_fails_hurts_no_other_job_of_the_batch(live, told, caplog):
    one = await live(batch_size=3)
    broken, _ = one.job()
    broken.on_answer = lambda *_: 1 / 0
    one.version.accept(broken)
    rest = [one.ask(), one.ask()]
    answers = await asyncio.wait_for(asyncio.gather(*rest), 3)
    assert [told(answer).size for answer in answers] == [3, 3]
    assert (await one.told()).size == 1
    assert "could not be delivered" in caplog.text


async def test_a_batch_over_the_response_timeout_recycles_only_that_worker(live, eventually):
    one = await live(workers=2, response_timeout=1, shop={"forked": True})
    stuck = one.ask("sleep 30")
    await asyncio.sleep(0.05)
    begun = monotonic()
    neighbour = await one.told("sleep 0.1")
    answer = await stuck
    assert isinstance(answer.error, WorkerDied)
    assert answer.status == 500
    assert str(answer.error) == "Worker died."
    assert monotonic() - begun > 0.8
    assert (await one.told()).pid == neighbour.pid
    await eventually(lambda: any(slot.standing.tries for slot in one.version.slots))
    failed = next(slot for slot in one.version.slots if slot.standing.tries)
    assert failed.standing.cause == "no answer within 1 s"
    assert sum(slot.ready for slot in one.version.slots) == 1


async def test_queued_neighbours_of_a_timed_out_batch_move_on(live, tmp_path):
    one = await live(response_timeout=1, prefetch=Prefetch(seconds=60, most=16))
    await one.told()
    stuck = one.ask("sleep 30")
    await asyncio.sleep(0.02)
    prefetched = [one.ask(f"{n}") for n in range(3)]
    await asyncio.sleep(0.02)
    assert one.dispatcher.in_flight == 4
    assert (await stuck).status == 500
    answers = await asyncio.wait_for(asyncio.gather(*prefetched), 10)
    assert [answer.error for answer in answers] == [None] * 3


async def test_pieces_of_a_stream_are_signs_of_life(live):
    one = await live(
        """
        import time
        from flambeau.worker.streaming import send_intermediate_predict_response
        def handle(data, context):
            if data is None:
                return None
            for n in range(5):
                time.sleep(0.4)
                send_intermediate_predict_response(
                    [f"{n} "] * len(data), context.request_ids, "piece", 200, context)
            return ["end"] * len(data)
        """,
        response_timeout=1,
    )
    pieces: list[bytes] = []
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    job, _ = one.job()

    def take(_, answer):
        pieces.append(answer.body if answer.error is None else str(answer.error).encode())
        if not answer.more:
            over.set_result(None)

    job.on_answer = take
    one.version.accept(job)
    await asyncio.wait_for(over, 10)
    assert b"".join(pieces) == b"0 1 2 3 4 end"


async def test_a_client_that_reads_a_stream_slowly_is_not_the_workers_fault(live):
    one = await live(
        """
        from flambeau.worker.streaming import send_intermediate_predict_response
        def handle(data, context):
            if data is None:
                return None
            for n in range(40):
                send_intermediate_predict_response(
                    ["x" * 100_000] * len(data), context.request_ids, "piece", 200, context)
            return ["end"] * len(data)
        """,
        response_timeout=1,
    )
    sizes: list[int] = []
    over: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    job, _ = one.job()

    def take(job, answer):
        sizes.append(len(answer.body))
        if len(sizes) == 1:
            job.flow.pause()
        if not answer.more:
            over.set_result(answer.error)

    job.on_answer = take
    one.version.accept(job)
    await asyncio.sleep(1.5)
    assert len(sizes) < 40
    job.flow.resume()
    assert await asyncio.wait_for(over, 10) is None
    assert sum(sizes) == 4_000_003


async def test_crash_fails_only_the_batch_in_flight(live):
    one = await live(prefetch=Prefetch(seconds=60, most=16))
    first = await one.told()
    crash = one.ask("sleep 0.2;exit 3")
    await asyncio.sleep(0.02)
    behind = [one.ask(f"{n}") for n in range(4)]
    await asyncio.sleep(0.02)
    assert len(one.dispatcher.batcher) == 0, "they should have been sent ahead"
    answer = await crash
    assert isinstance(answer.error, WorkerDied)
    assert answer.status == 500
    answers = await asyncio.wait_for(asyncio.gather(*behind), 10)
    assert [a.body.decode().split()[-1] for a in answers] == ["0", "1", "2", "3"]
    assert all(int(a.body.split()[0]) != first.pid for a in answers)


async def test_a_worker_killed_by_the_system_answers_507(live):
    one = await live()
    answer = await one.ask("kill")
    assert answer.status == 507
    assert str(answer.error) == "Worker died."


async def test_jobs_come_back_in_front_and_in_order(live):
    one = await live(prefetch=Prefetch(seconds=60, most=3))
    await one.told()
    order: list[str] = []
    crash = one.ask("sleep 0.1;exit 1")
    await asyncio.sleep(0.02)
    asked = []
    for n in range(6):
        answered = one.ask(f"{n}")
        answered.add_done_callback(lambda f: order.append(f.result().body.decode().split()[-1]))
        asked.append(answered)
    await asyncio.sleep(0.02)
    assert 0 < len(one.dispatcher.batcher) < 6
    await crash
    await asyncio.wait_for(asyncio.gather(*asked), 10)
    assert order == ["0", "1", "2", "3", "4", "5"]


async def test_a_job_that_comes_as_an_idle_worker_dies_waits_for_the_next(live):
    one = await live(shop={"forked": True})
    worker = one.version.slots[0].worker
    worker.kill()
    await worker.channel.ended
    answer = await asyncio.wait_for(one.ask(), 10)
    assert answer.error is None, "it was handed to a worker known to be gone"


async def test_retire_finishes_what_is_held(live, told, tmp_path):
    one = await live(prefetch=Prefetch(seconds=60, most=16))
    await one.told()
    gate = tmp_path / "gate"
    held = [one.ask(f"until {gate}"), one.ask("1"), one.ask("2")]
    await asyncio.sleep(0.02)
    one.version.scale(0, 0, None)
    await asyncio.sleep(0.05)
    with pytest.raises(NoWorker):
        one.ask()
    gate.touch()
    assert [told(a).said for a in await asyncio.wait_for(asyncio.gather(*held), 5)] == [
        f"until {gate}",
        "1",
        "2",
    ]
    await asyncio.wait_for(one.version.left(), 5)


async def test_without_grace_nobody_is_left_hanging(live):
    one = await live(prefetch=Prefetch(seconds=60, most=16))
    await one.told()
    running = one.ask("sleep 30")
    await asyncio.sleep(0.02)
    ahead = [one.ask() for _ in range(3)]
    await asyncio.sleep(0.02)
    one.version.scale(0, 0, 0.0)
    answers = await asyncio.wait_for(asyncio.gather(running, *ahead), 20)
    assert isinstance(answers[0].error, WorkerDied)
    assert [type(a.error) for a in answers[1:]] == [NoWorker] * 3


async def test_what_a_worker_that_goes_had_ahead_goes_to_another(live, told, tmp_path, eventually):
    one = await live(workers=2, prefetch=Prefetch(seconds=60, most=3), shop={"forked": True})
    await asyncio.gather(one.told("sleep 0.05"), one.told("sleep 0.05"))
    await eventually(lambda: [feed.depth for feed in one.dispatcher._feeds] == [3, 3])
    gates = [tmp_path / "first", tmp_path / "second"]
    survivor = one.version.slots[0].worker
    held = [one.ask(f"until {gate}") for gate in gates]
    ahead = [one.ask(f"{n}") for n in range(4)]
    await eventually(lambda: one.dispatcher.in_flight == 6)
    feeds = {feed.channel: list(feed.held()) for feed in one.dispatcher._feeds}
    assert [len(jobs) for jobs in feeds.values()] == [3, 3]
    runs_on_survivor = bytes(feeds[survivor.channel][0].parts[0].chunks[0]).decode()
    spared = next(n for n in (0, 1) if runs_on_survivor == f"until {gates[n]}")
    one.version.scale(1, 1, 0.0)
    assert isinstance((await asyncio.wait_for(held[1 - spared], 10)).error, WorkerDied)
    gates[spared].touch()
    served = await asyncio.wait_for(asyncio.gather(held[spared], *ahead), 10)
    assert {told(answer).pid for answer in served} == {survivor.pids[0]}


async def test_a_batch_too_large_for_a_frame_is_refused_and_the_rest_served(live, monkeypatch):
    one = await live()
    monkeypatch.setattr(frames, "MAX_BLOBS", 1000)
    large, small = one.ask("x" * 2000), one.ask("small")
    assert isinstance((await asyncio.wait_for(large, 3)).error, RequestTooLarge)
    assert (await asyncio.wait_for(small, 3)).error is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ShuttingDown("over"), "shutting_down"), (Unregistered("gone"), "unregistered")],
)
async def test_what_waits_when_a_version_ends_is_counted_under_its_reason(
    live, metrics, tmp_path, error, reason
):
    one = await live(prefetch=NO_PREFETCH)
    gate = tmp_path / "gate"
    running = one.ask(f"until {gate}")
    await asyncio.sleep(0.02)
    waiting = [one.ask() for _ in range(3)]
    closing = asyncio.ensure_future(one.version.close(error, None))
    assert [(await answered).error for answered in waiting] == [error] * 3
    with pytest.raises(type(error)):
        one.ask()
    assert rejected(metrics) == {reason: 4.0}
    gate.touch()
    assert (await running).error is None
    await closing


async def test_idle_returns_when_all_is_answered(live):
    one = await live(prefetch=NO_PREFETCH)
    asked = [one.ask("sleep 0.1"), one.ask("sleep 0.1")]
    await asyncio.wait_for(one.dispatcher.idle(), 5)
    assert all(answered.done() for answered in asked)


async def test_idle_does_not_wait_for_clients_that_have_gone(live):
    one = await live(prefetch=NO_PREFETCH)
    running = one.ask("sleep 0.2")
    await asyncio.sleep(0.02)
    job, _ = one.job()
    one.version.accept(job)
    idle = asyncio.ensure_future(one.dispatcher.idle())
    await asyncio.sleep(0.02)
    job.cancel()
    await asyncio.wait_for(idle, 3)
    assert running.done()


async def test_idle_sees_a_running_client_go(live):
    one = await live()
    job, _ = one.job("sleep 5")
    one.version.accept(job)
    await asyncio.sleep(0.05)
    idle = asyncio.ensure_future(one.dispatcher.idle())
    await asyncio.sleep(0.02)
    assert not idle.done()
    job.cancel()
    await asyncio.wait_for(idle, 1)


async def test_gone_clients_are_counted(live, metrics):
    one = await live(prefetch=NO_PREFETCH)
    for line in ("sleep 0.1", ""):
        job, _ = one.job(line)
        one.version.accept(job)
        await asyncio.sleep(0.02)
        job.cancel()
        job.cancel()
    text = b"".join(metrics.exposition([])).decode()
    assert 'flambeau_cancelled_total{model_name="m",model_version="1.0"} 2.0' in text


async def test_prefetch_of_none_still_feeds_a_worker(live):
    one = await live(prefetch=Prefetch(seconds=0.005, most=0))
    for _ in range(3):
        await one.told()


async def test_many_jobs_through_many_workers_are_each_answered_once(live, told, caplog):
    caplog.set_level(logging.WARNING)
    one = await live(workers=3, batch_size=4, queue_size=2000, shop={"forked": True})
    counted: dict[int, int] = {}

    def count(job, _):
        counted[job.id] = counted.get(job.id, 0) + 1

    jobs = []
    for n in range(1000):
        job, _ = one.job(f"{n}")
        job.on_answer = count
        one.version.accept(job)
        jobs.append(job)
        if n % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(one.dispatcher.idle(), 20)
    assert counted == {job.id: 1 for job in jobs}
