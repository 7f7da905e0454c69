"""One worker of several processes."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from flambeau.control.describe import describe
from flambeau.errors import WorkerStartFailed
from flambeau.supervision.launcher import Launchers
from flambeau.supervision.state import State
from flambeau.transport.messages import Kind, Ping, Pong
from tests.processes import alive, environment_of

pytestmark = pytest.mark.usefixtures("loud_loop")

RANKED = """
import os, time
RANK = os.environ["RANK"]
HERE = os.path.dirname(os.path.abspath(__file__))

def note(word):
    with open(f"{HERE}/{word}{RANK}", "a") as file:
        file.write("x")

def handle(data, context):
    if data is None:
        while os.path.exists(f"{HERE}/hold{RANK}"):
            time.sleep(0.001)
        if os.path.exists(f"{HERE}/broken{RANK}"):
            raise RuntimeError("no shard")
        note("loaded")
        return None
    note("asked")
    while b"wait" in data[0]["body"] and not context.is_cancelled():
        time.sleep(0.001)
    note("done")
    return [f"rank {RANK}"] * len(data)
"""


class Ranked:
    """Another launcher's workers, of several processes each."""

    def __init__(self, launcher, ranks: int, *, jobs_to_all: bool) -> None:
        self._launcher = launcher
        self._given = {"ranks": ranks, "jobs_to_all": jobs_to_all}

    async def launch(self, command):
        return await self._launcher.launch(replace(command, **self._given))

    async def close(self) -> None:
        await self._launcher.close()


@pytest.fixture
def ranked(live):
    """``await ranked(2, "hold1")``: a version whose workers have two ranks, and its folder.

    The handler finds the files that are named, and leaves others as notes.
    """

    async def start(ranks: int, *marks: str, jobs_to_all: bool = True):
        one = await live(RANKED, workers=0)
        one.launcher.named = {
            "local": Ranked(Launchers(one.launcher.named), ranks, jobs_to_all=jobs_to_all)
        }
        folder = one.version.files.model_dir
        for mark in marks:
            (folder / mark).touch()
        one.version.scale(1, 1)
        return one, one.version.slots[0], folder

    return start


def noted(folder, word: str) -> list[str]:
    """Which ranks left that note, once for each time."""
    return sorted(
        file.name.removeprefix(word) for file in folder.glob(f"{word}*") for _ in file.read_text()
    )


async def test_every_process_knows_its_rank(ranked):
    one, slot, _ = await ranked(3)
    await slot.loaded
    [shown] = describe(one.version, str).workers
    assert shown.pid == slot.worker.pids[0], "the first stands for all"
    seen = [environment_of(pid) for pid in slot.worker.pids]
    assert [each["RANK"] for each in seen] == ["0", "1", "2"]
    assert [each["LOCAL_RANK"] for each in seen] == ["0", "1", "2"]
    assert {each["WORLD_SIZE"] for each in seen} == {"3"}
    assert slot.worker.resident_bytes() > 3_000_000


async def test_the_devices_of_a_command_are_all_its_processes_see(spawns, command):
    worker = await spawns.launch(replace(command(), ranks=2, devices=(2, 3)))
    for member in worker._members:  # then it is the program we look at
        assert await member.channel.ask(Ping(), Kind.PONG) == Pong()
    assert {environment_of(pid)["CUDA_VISIBLE_DEVICES"] for pid in worker.pids} == {"2,3"}
    await worker.stop(5)


async def test_it_is_loaded_when_all_ranks_are(ranked, eventually):
    _, slot, folder = await ranked(2, "hold1")
    await eventually(lambda: noted(folder, "loaded") == ["0"])
    assert not slot.loaded.done()
    assert slot.standing.state is State.LOADING
    (folder / "hold1").unlink()
    await slot.loaded
    assert noted(folder, "loaded") == ["0", "1"]


async def test_a_rank_that_cannot_load_is_named_and_the_others_are_not_waited_for(ranked):
    _, slot, _ = await ranked(2, "hold0", "broken1")
    with pytest.raises(WorkerStartFailed, match=r"RuntimeError: no shard \(rank 1\) \(handler.py"):
        await slot.loaded


@pytest.mark.parametrize(("jobs_to_all", "asked"), [(True, ["0", "1"]), (False, ["0"])])
async def test_jobs_go_to_all_ranks_or_to_the_first_and_the_first_answers(
    ranked, jobs_to_all, asked, eventually
):
    one, slot, folder = await ranked(2, jobs_to_all=jobs_to_all)
    await slot.loaded
    answer = await asyncio.wait_for(one.ask("x"), 10)
    assert answer.body == b"rank 0"
    await eventually(lambda: noted(folder, "asked") == asked)


async def test_all_ranks_learn_that_a_client_has_gone(ranked, eventually):
    one, slot, folder = await ranked(2)
    await slot.loaded
    job, _ = one.job("wait")
    one.version.accept(job)
    await eventually(lambda: noted(folder, "asked") == ["0", "1"])
    job.cancel()
    await eventually(lambda: noted(folder, "done") == ["0", "1"])


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("rank", [0, 1, 2])
async def test_the_death_of_one_is_the_death_of_all_and_names_it(ranked, rank, eventually):
    one, slot, folder = await ranked(3)
    await slot.loaded
    pids = slot.worker.pids
    asked = one.ask("wait")
    await eventually(lambda: len(noted(folder, "asked")) == 3)
    os.kill(pids[rank], signal.SIGKILL)
    assert (await asyncio.wait_for(asked, 10)).status == 507
    await eventually(lambda: slot.standing.tries == 1)
    assert slot.standing.cause == f"Worker died. (rank {rank})"
    await eventually(lambda: not any(map(alive, pids)))
    await eventually(lambda: slot.ready)
    assert set(slot.worker.pids).isdisjoint(pids)


async def test_a_death_while_loading_names_the_rank(ranked, eventually):
    _, slot, _ = await ranked(2, "hold0", "hold1")
    await eventually(lambda: slot.worker is not None)
    os.kill(slot.worker.pids[1], signal.SIGKILL)
    with pytest.raises(WorkerStartFailed, match=r"process \(rank 1\) was killed while loading"):
        await slot.loaded


async def test_all_are_told_to_stop_and_end_by_themselves(ranked):
    _, slot, _ = await ranked(2)
    await slot.loaded
    worker = slot.worker
    await asyncio.wait_for(slot.stop(None), 10)
    assert not any(map(alive, worker.pids))
    assert [member.exited.result() for member in worker._members] == [0, 0]


async def test_a_rank_that_cannot_be_started_leaves_none_of_the_others(
    spawns, command, open_files, monkeypatch
):
    await (await spawns.launch(command())).stop(0)
    started = []
    start = spawns._start

    async def second_fails(*given):
        if started:
            raise WorkerStartFailed("no process")
        started.append(await start(*given))
        return started[0]

    monkeypatch.setattr(spawns, "_start", second_fails)
    with pytest.raises(WorkerStartFailed, match="no process"):
        await spawns.launch(replace(command(), ranks=3))
    assert not alive(started[0].pids[0])
