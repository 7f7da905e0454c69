"""What holds for every worker, however it was started."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest

from flambeau.errors import WorkerStartFailed
from flambeau.supervision.launcher import LOCAL, Launchers
from flambeau.supervision.process import LocalWorker
from flambeau.supervision.templates import ForkLauncher
from flambeau.transport.messages import Kind, Ping, Pong
from tests.processes import alive, environment_of, parent_of, settled

pytestmark = pytest.mark.usefixtures("loud_loop")

KINDS = ["forked", "spawned", "called"]
"""Ways to start a worker: from a template, as a fresh interpreter, or elsewhere."""


async def test_a_launched_worker_answers(launcher, command):
    worker = await launcher.launch(command())
    assert await worker.channel.ask(Ping(), Kind.PONG) == Pong()
    assert alive(worker.pids[0])
    await worker.stop(5.0)
    assert worker.exited.result() == 0
    assert not alive(worker.pids[0])


async def test_a_worker_that_does_not_leave_is_killed_after_its_grace(launcher, command):
    worker = await launcher.launch(command())
    os.kill(worker.pids[0], signal.SIGSTOP)
    await asyncio.wait_for(worker.stop(0.1), 5)
    assert worker.exited.result() == -signal.SIGKILL
    assert await worker.died_of_kill()


async def test_an_end_by_itself_is_no_kill(launcher, command):
    worker = await launcher.launch(command())
    worker.channel.close()
    await asyncio.wait({worker.exited}, timeout=5)
    assert worker.exited.result() == 0
    assert not await worker.died_of_kill()
    assert worker.resident_bytes() == 0
    worker.kill()
    await worker.stop(1.0)


async def test_who_is_still_there_was_not_killed(launcher, command):
    worker = await launcher.launch(command())
    assert not await worker.died_of_kill()
    await worker.stop(0)


async def test_memory_that_cannot_be_read_is_zero(spawns, command):
    worker = await spawns.launch(command())
    gone = LocalWorker(command(), 2**22 + 1, worker.channel, worker.exited, worker._output)
    assert gone.resident_bytes() == 0
    gone.kill()
    await worker.stop(0)


async def test_each_command_goes_to_the_launcher_it_names(forks, spawns, command):
    launchers = Launchers({LOCAL: forks, "elsewhere": spawns})
    here = await launchers.launch(command())
    there = await launchers.launch(replace(command(), launcher="elsewhere"))
    assert parent_of(here.pids[0]) != os.getpid() == parent_of(there.pids[0])
    with pytest.raises(WorkerStartFailed, match=r"wants the launcher 'mars'; .* elsewhere, local"):
        await launchers.launch(replace(command(), launcher="mars"))
    await asyncio.gather(here.stop(0), there.stop(0))
    await launchers.close()
    assert not forks._templates


async def test_a_version_says_which_launcher_starts_its_workers(live):
    one = await live(workers=0, launcher="mars")
    one.version.scale(1, 1)
    with pytest.raises(WorkerStartFailed, match="wants the launcher 'mars'"):
        await one.version.slots[0].loaded


async def test_an_interpreter_that_is_not_there_is_told(launcher, command, open_files):
    await (await launcher.launch(command())).stop(0)  # what is kept from then on is no leak
    before = await settled(open_files)
    with pytest.raises(WorkerStartFailed, match=r"no process for W-9000-m_1\.0: .*nowhere"):
        await launcher.launch(command(python="/nowhere/python"))
    assert open_files() == before


async def test_a_worker_sees_the_environment_of_its_command_from_the_start(
    launcher, command, modules, monkeypatch
):
    monkeypatch.setenv("ONLY_OF_THE_SERVER", "1")
    given = command(GIVEN="here")
    monkeypatch.setenv("ONLY_OF_THE_SERVER", "2")
    worker = await launcher.launch(given)
    seen = environment_of(worker.pids[0])
    assert (seen["GIVEN"], seen["ONLY_OF_THE_SERVER"]) == ("here", "1")
    await worker.stop(0)


async def test_a_file_of_the_archive_named_like_a_module_of_the_worker_is_not_in_its_way(
    launcher, command, tmp_path
):
    for name in ("socket", "enum", "logging", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')")
    worker = await launcher.launch(command())
    assert await worker.channel.ask(Ping(), Kind.PONG) == Pong()
    await worker.stop(0)


@pytest.mark.parametrize("started", KINDS)
async def test_a_model_is_loaded_and_asked(live, started):
    one = await live(shop={"started": started}, workers=2)
    told = await asyncio.gather(*(one.told(f"sleep 0.05;{number}") for number in range(6)))
    assert [each.said for each in told] == [str(number) for number in range(6)]
    assert {each.pid for each in told} == {
        pid for slot in one.version.slots for pid in slot.worker.pids
    }


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("started", KINDS)
async def test_a_crash_costs_the_batch_in_flight_and_the_worker_comes_back(live, started):
    one = await live(shop={"started": started})
    before = await one.told()
    assert (await one.ask("kill")).status == 507
    after = await one.told()
    assert after.pid != before.pid
    assert not alive(before.pid)


@pytest.mark.parametrize("started", KINDS)
async def test_the_cause_of_a_failed_load_is_told(live, started):
    source = "def handle(data, context):\n    raise RuntimeError('no weights')\n"
    one = await live(source, shop={"started": started}, wait=False)
    with pytest.raises(WorkerStartFailed, match=r"RuntimeError: no weights \(handler.py:2\)"):
        await one.version.slots[0].loaded


@pytest.mark.parametrize("started", KINDS)
async def test_a_handler_learns_that_its_client_has_gone(live, started, tmp_path, eventually):
    note = tmp_path / "note"
    one = await live(
        f"""
        import time
        from pathlib import Path
        NOTE = Path({str(note)!r})
        def handle(data, context):
            if data is None:
                return None
            NOTE.write_text("running")
            while not context.is_cancelled():
                time.sleep(0.001)
            NOTE.write_text("gone")
            return ["x"] * len(data)
        """,
        shop={"started": started},
    )
    job, _ = one.job()
    one.version.accept(job)
    await eventually(lambda: note.exists() and note.read_text() == "running")
    job.cancel()
    await eventually(lambda: note.read_text() == "gone")


@pytest.mark.parametrize("started", KINDS)
async def test_hidden_variables_are_hidden_in_every_worker(live, started, monkeypatch):
    monkeypatch.setenv("FLAMBEAU_SECRET", "hidden")
    monkeypatch.setenv("FLAMBEAU_OPEN", "seen")
    one = await live(
        shop={
            "started": started,
            "hidden": ".*SECRET|TS_HIDDEN",
            "worker_environment": {"TS_HIDDEN": "x", "TS_GIVEN": "y"},
        }
    )
    said = [
        (await one.told(f"env {name}")).said
        for name in ("FLAMBEAU_SECRET", "FLAMBEAU_OPEN", "TS_HIDDEN", "TS_GIVEN")
    ]
    assert said == ["-", "seen", "-", "y"]


@pytest.mark.parametrize("started", KINDS)
async def test_what_a_worker_prints_comes_line_by_line(live, started, eventually):
    one = await live(shop={"started": started})
    await one.told("print first")
    await one.told("print second ü")
    expected = {
        ("W-9000-m_1.0", stream, text)
        for stream in ("stdout", "stderr")
        for text in ("first", "second ü")
    }
    await eventually(lambda: expected <= set(one.lines))
    assert [line[2] for line in one.lines if line[1] == "stdout"] == ["first", "second ü"]


@pytest.mark.parametrize("started", KINDS)
async def test_an_endless_line_is_cut_and_the_last_one_needs_no_end(live, started, eventually):
    one = await live(
        """
        import os, sys
        def handle(data, context):
            if data is None:
                return None
            sys.stdout.write("x" * 200_000)
            sys.stdout.flush()
            os._exit(0)
        """,
        shop={"started": started},
    )
    await one.ask()
    await eventually(lambda: sum(len(line[2]) for line in one.lines) == 200_000)
    assert max(len(line[2]) for line in one.lines) <= 64 * 1024 + 1


@pytest.mark.timeout(240)
async def test_launches_leak_no_descriptor(launcher, command, open_files, eventually):
    rounds = 170 if isinstance(launcher, ForkLauncher) else 30

    async def round_trip(number: int) -> None:
        worker = await launcher.launch(command(f"W-{number}-m"))
        if number % 3:
            await worker.stop(0)
        else:
            worker.channel.close()
            await asyncio.wait({worker.exited})

    await round_trip(1)
    before = await settled(open_files)
    for number in range(0, rounds, 5):
        await asyncio.gather(*(round_trip(number + step) for step in range(5)))
    await eventually(lambda: open_files() == before)


SERVER = """
import asyncio, sys, time
from pathlib import Path
from flambeau.supervision.environment import EnvironmentRule
from flambeau.supervision.launcher import WorkerCommand
from flambeau.supervision.process import SpawnLauncher
from flambeau.supervision.templates import ForkLauncher
from tests.elsewhere import CallingLauncher

async def main():
    rule, drop = EnvironmentRule(), lambda *_: None
    launcher = {
        "forked": lambda: ForkLauncher(rule, drop),
        "spawned": lambda: SpawnLauncher(drop),
        "called": lambda: CallingLauncher(drop),
    }[sys.argv[1]]()
    folder = Path(sys.argv[3])
    environment = rule.for_model(folder, "", {})
    workers = [
        await launcher.launch(WorkerCommand(f"W-{n}", folder, "", environment)) for n in range(3)
    ]
    print(*(worker.pids[0] for worker in workers), flush=True)
    await asyncio.sleep(600)

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_worker_outlives_a_server_that_is_killed(kind, loop, tmp_path):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, kind, loop, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as server:
        pids = [int(pid) for pid in server.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(alive, pids))
        parents = {parent_of(pid) for pid in pids} - {server.pid}
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        limit = monotonic() + 5
        while any(map(alive, [*pids, *parents])) and monotonic() < limit:
            sleep(0.01)
        assert not any(map(alive, [*pids, *parents]))


def test_a_worker_launched_for_a_parent_that_is_not_ours_leaves():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "flambeau.worker", str(theirs.fileno()), "1"],
            pass_fds=(theirs.fileno(),),
        )
        assert process.wait(10) == 1
