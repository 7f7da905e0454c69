"""The seams of the data plane, each with its second user: batchers, and windows of jobs.

Real workers over real sockets, as in ``test_jobs_dispatch``.
"""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from flambeau.errors import Unavailable, WorkerDied
from flambeau.jobs.batching import BatchPolicy
from flambeau.jobs.job import Answer, Job, Part
from flambeau.transport.messages import pack_headers
from tests.unit.jobs.sequences import SequenceBatcher

pytestmark = pytest.mark.usefixtures("loud_loop")

STATEFUL = """
import os, time

sums = {}

def handle(data, context):
    if data is None:
        return None
    told = []
    for index, row in enumerate(data):
        name = context.get_request_header(index, "sequence")
        text = bytes(row["body"]).decode()
        if text == "die":
            os._exit(3)
        while text.startswith("/") and not os.path.exists(text):
            time.sleep(0.001)
        sums[name] = sums.get(name, 0) + (int(text) if text.isdigit() else 0)
        told.append(f"{os.getpid()} {len(data)} {sums[name]}")
    return told
"""

CONCURRENT = """
import asyncio, os, time

async def handle(data, context):
    if data is None:
        return None
    context.metrics.add_counter("Seen", 1)
    text = bytes(data[0]["body"]).decode()
    word, _, rest = text.partition(" ")
    if word == "until":
        try:
            while not os.path.exists(rest):
                await asyncio.sleep(0.002)
        except asyncio.CancelledError:
            with open(rest + ".cancelled", "w"):
                raise
    elif word == "block":
        time.sleep(float(rest))
    elif word == "raise":
        raise ValueError(rest)
    elif word == "die":
        os._exit(3)
    return [f"{context.get_request_id(0)} {text}"] * len(data)

def initialize_only(data, context):
    return None
"""

STEPS = """
left = {}

def handle(data, context):
    if data is None:
        return None
    ids = [context.get_request_id(index) for index in range(len(data))]
    for one, row in zip(ids, data):
        if row:
            left[one] = int(bytes(row["body"]))
    for one in ids:
        left[one] -= 1
    context.stopping_criteria = [lambda out, n=left[one]: n <= 0 for one in ids]
    return [f"{left[one]}/{len(data)} " for one in ids]
"""


class Asked:
    """One job, and its pieces to come."""

    def __init__(self, one, line: str, request_id: str = "request", **headers: str) -> None:
        self.pieces: list[str] = []
        self.done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.begun = asyncio.Event()
        self.job = Job(
            request_id,
            pack_headers(list(headers.items())),
            [Part("body", "", [line.encode()])],
            self._take,
        )
        one.version.accept(self.job)

    def _take(self, _: Job, answer: Answer) -> None:
        self.pieces.append(answer.body.decode())
        self.begun.set()
        if not answer.more:
            self.done.set_result(answer)

    async def text(self) -> str:
        answer = await asyncio.wait_for(self.done, 20)
        assert answer.error is None, answer.error
        return "".join(self.pieces)

    async def error(self) -> Exception:
        answer = await asyncio.wait_for(self.done, 20)
        assert answer.error is not None
        return answer.error


# -- batchers


@pytest.fixture
async def sequences(live):
    """Two workers behind a batcher for sequences."""

    async def start(workers: int = 2, **fields):
        one = await live(STATEFUL, workers=0, wait=False, batch_size=4, shop={"forked": True})
        one.dispatcher.batcher = SequenceBatcher(BatchPolicy(4), **fields)
        one.version.scale(workers, workers)
        await one.loaded()
        return one

    return start


async def test_a_sequence_stays_with_its_worker_and_in_order(sequences):
    one = await sequences(most=4)
    asked = [
        Asked(one, f"{number}", sequence=name) for number in (1, 2, 3) for name in ("a", "b", "c")
    ]
    told = [(await each.text()).split() for each in asked]
    for start in range(3):
        mine = told[start::3]
        assert len({pid for pid, _, _ in mine}) == 1
        assert [total for _, _, total in mine] == ["1", "3", "6"]


async def test_sequences_share_a_batch_and_no_two_jobs_of_one_do(sequences, tmp_path):
    one = await sequences(workers=1)
    gate = tmp_path / "gate"
    held = Asked(one, str(gate), sequence="a")
    await asyncio.sleep(0)
    rest = [Asked(one, "1", sequence=name) for name in ("a", "b", "a", "b")]
    gate.touch()
    assert (await held.text()).split()[1:] == ["1", "0"]
    sizes = [(await each.text()).split()[1] for each in rest]
    assert sizes == ["2", "2", "2", "2"]


async def test_one_sequence_too_many_is_refused_until_another_has_been_idle(sequences):
    one = await sequences(workers=1, most=1, idle=0.05)
    await Asked(one, "1", sequence="a").text()
    with pytest.raises(Unavailable, match="1 sequences are under way"):
        Asked(one, "1", sequence="b")
    async with asyncio.timeout(5):
        while one.dispatcher.batcher.sequences:
            one.dispatcher.batcher.take(one.dispatcher._feeds[0], asyncio.get_running_loop().time())
            await asyncio.sleep(0.005)
    assert (await Asked(one, "5", sequence="b").text()).endswith(" 5")


async def test_a_dead_worker_ends_its_sequences_and_no_others(sequences, tmp_path, eventually):
    one = await sequences(most=4)
    gate = tmp_path / "gate"
    first = {"a": Asked(one, str(gate), sequence="a")}
    await eventually(lambda: one.dispatcher.in_flight == 1)
    first["b"] = Asked(one, str(gate), sequence="b")
    await eventually(lambda: one.dispatcher.in_flight == 2)
    gate.touch()
    pids = {name: (await each.text()).split()[0] for name, each in first.items()}
    assert len(set(pids.values())) == 2
    dying = Asked(one, "die", sequence="a")
    behind = Asked(one, "1", sequence="a")
    other = Asked(one, "7", sequence="b")
    assert isinstance(await dying.error(), WorkerDied)
    assert "has lost its worker" in str(await behind.error())
    assert (await other.text()).split() == [pids["b"], "1", "7"]


# -- windows: concurrent


async def test_concurrent_requests_run_at_the_same_time_and_answer_in_any_order(live, tmp_path):
    one = await live(CONCURRENT, mode="concurrent")
    gates = [tmp_path / f"{n}" for n in range(3)]
    asked = [Asked(one, f"until {gate}", f"id-{n}") for n, gate in enumerate(gates)]
    gates[2].touch()
    assert await asked[2].text() == f"id-2 until {gates[2]}"
    assert not asked[0].done.done()
    assert await Asked(one, "plain", "id-3").text() == "id-3 plain"
    gates[0].touch()
    gates[1].touch()
    for n in (0, 1):
        assert await asked[n].text() == f"id-{n} until {gates[n]}"


async def test_concurrent_one_failure_hurts_no_neighbour(live, tmp_path):
    one = await live(CONCURRENT, mode="concurrent")
    gate = tmp_path / "gate"
    neighbour = Asked(one, f"until {gate}")
    assert str(await Asked(one, "raise no").error()) == "Prediction failed"
    gate.touch()
    await neighbour.text()


async def test_concurrent_a_death_answers_all_that_were_in_hand(live, tmp_path):
    one = await live(CONCURRENT, mode="concurrent")
    asked = [Asked(one, f"until {tmp_path / 'never'}") for _ in range(5)]
    dying = Asked(one, "die")
    for each in (*asked, dying):
        assert isinstance(await each.error(), WorkerDied)
    assert await Asked(one, "again").text() == "request again"


async def test_concurrent_a_client_that_goes_cancels_its_coroutine(live, tmp_path, eventually):
    one = await live(CONCURRENT, mode="concurrent")
    gate = tmp_path / "gate"
    asked = Asked(one, f"until {gate}")
    await Asked(one, "plain").text()
    asked.job.cancel()
    await eventually((tmp_path / "gate.cancelled").exists)
    await asyncio.wait_for(one.dispatcher.idle(), 5)
    await eventually(lambda: one.dispatcher._feeds[0].idle)


async def test_concurrent_no_more_than_the_limit_is_in_hand(live, tmp_path, eventually):
    one = await live(CONCURRENT, mode="concurrent", queue_size=200)
    gate = tmp_path / "gate"
    asked = [Asked(one, f"until {gate}") for _ in range(110)]
    await eventually(lambda: one.dispatcher.in_flight == 100)
    assert len(one.dispatcher.batcher) == 10
    gate.touch()
    for each in asked:
        await each.text()


async def test_concurrent_a_blocked_loop_is_noticed_and_a_working_one_is_not(live, eventually):
    one = await live(CONCURRENT, mode="concurrent")
    blocked = Asked(one, "block 2")
    await eventually(lambda: not one.dispatcher.answering)
    await blocked.text()
    await eventually(lambda: one.dispatcher.answering == 1)


async def test_concurrent_what_takes_too_long_recycles_the_worker(live, tmp_path):
    one = await live(CONCURRENT, mode="concurrent", response_timeout=1)
    asked = Asked(one, f"until {tmp_path / 'never'}")
    assert str(await asked.error()) == "Worker died."
    assert await Asked(one, "again").text() == "request again"


async def test_concurrent_metrics_know_their_request(live, tmp_path, metrics):
    one = await live(CONCURRENT, mode="concurrent")
    gate = tmp_path / "gate"
    points = []
    metrics.model("m", "1.0").points = points.extend
    asked = [Asked(one, f"until {gate}", f"id-{n}") for n in range(3)]
    await Asked(one, "plain", "id-3").text()
    gate.touch()
    for each in asked:
        await each.text()
    assert sorted(point.request_ids for point in points) == ["id-0", "id-1", "id-2", "id-3"]


async def test_concurrent_retires_when_everything_in_hand_is_answered(live, tmp_path):
    one = await live(CONCURRENT, mode="concurrent")
    gate = tmp_path / "gate"
    asked = [Asked(one, f"until {gate}") for _ in range(3)]
    await asyncio.sleep(0)
    one.version.scale(0, 0, None)
    gate.touch()
    for each in asked:
        await each.text()
    await asyncio.wait_for(one.version.left(), 5)


async def test_a_plain_function_cannot_be_a_concurrent_handler(live):
    one = await live("def handle(data, context):\n    return data\n", mode="concurrent", wait=False)
    with pytest.raises(Exception, match="must be an async def"):
        await one.loaded()


# -- windows: steps


async def test_steps_jobs_join_and_leave_between_two_calls(live):
    one = await live(STEPS, mode="steps", batch_size=3)
    long = Asked(one, "400", "long")
    await asyncio.wait_for(long.begun.wait(), 10)
    short = [Asked(one, "2", f"short-{n}") for n in range(2)]
    for each in short:
        pieces = (await each.text()).split()
        assert [piece.split("/")[0] for piece in pieces] == ["1", "0"]
    pieces = (await long.text()).split()
    assert [int(piece.split("/")[0]) for piece in pieces] == list(range(399, -1, -1))
    assert {piece.split("/")[1] for piece in pieces} >= {"1", "3"}


async def test_steps_no_more_jobs_than_the_batch_size_are_in_hand(live, eventually):
    one = await live(STEPS, mode="steps", batch_size=2)
    asked = [Asked(one, "30", f"id-{n}") for n in range(5)]
    await asyncio.wait_for(asked[0].begun.wait(), 10)
    assert one.dispatcher.in_flight == 2
    pieces = [piece for each in asked for piece in (await each.text()).split()]
    assert max(int(piece.split("/")[1]) for piece in pieces) == 2


async def test_steps_a_client_that_goes_leaves_at_the_next_step(live, eventually):
    one = await live(STEPS, mode="steps", batch_size=2)
    endless = Asked(one, "1000000000", "endless")
    await asyncio.wait_for(endless.begun.wait(), 10)
    endless.job.cancel()
    await eventually(lambda: one.dispatcher._feeds[0].idle)
    assert (await Asked(one, "1", "next").text()) == "0/1 "


async def test_steps_a_death_answers_all_that_were_in_hand(live):
    one = await live(STEPS, mode="steps", batch_size=4)
    asked = [Asked(one, "1000000000", f"id-{n}") for n in range(3)]
    for each in asked:
        await asyncio.wait_for(each.begun.wait(), 10)
    os.kill(one.version.slots[0].worker.pids[0], signal.SIGKILL)
    for each in asked:
        assert isinstance(await each.error(), WorkerDied)


# -- windows: batches


async def test_batches_a_job_that_goes_on_streams_its_pieces(live):
    one = await live(STEPS, batch_size=2)
    first, second = Asked(one, "3", "a"), Asked(one, "1", "b")
    assert await first.text() == "2/2 1/1 0/1 "
    assert await second.text() == "0/2 "
    assert await Asked(one, "2", "c").text() == "1/1 0/1 "
