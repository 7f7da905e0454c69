"""Workers as fresh interpreters and as forks of a template."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest

from flambeau.errors import WorkerStartFailed
from flambeau.supervision import imports, templates
from flambeau.supervision.environment import EnvironmentRule
from flambeau.supervision.launcher import LOCAL, Launchers, WorkerCommand
from flambeau.supervision.process import LocalWorker, SpawnLauncher
from flambeau.supervision.templates import ForkLauncher
from flambeau.transport.messages import Kind, Ping, Pong

pytestmark = pytest.mark.usefixtures("loud_loop")


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def environment_of(pid: int) -> dict[str, str]:
    """What the process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in entries if entry)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def lines() -> list[tuple[str, ...]]:
    return []


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder on the server's own import path."""
    folder = tmp_path / "modules"
    folder.mkdir()
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    return folder


@pytest.fixture
async def forks(lines, modules):
    launcher = ForkLauncher(EnvironmentRule(), lambda *line: lines.append(line))
    yield launcher
    await launcher.close()
    await asyncio.sleep(0.05)


@pytest.fixture
async def spawns(lines):
    launcher = SpawnLauncher(lambda *line: lines.append(line))
    yield launcher
    await launcher.close()
    await asyncio.sleep(0.05)


@pytest.fixture(params=["spawns", "forks"])
def launcher(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def command(tmp_path):
    """``command("W-1-m", "torch")``: for a model whose handler imports torch."""

    def make(
        name: str = "W-9000-m_1.0", *imports: str, python: str = "", **variables: str
    ) -> WorkerCommand:
        handler = "_".join(("handler", *imports)) + ".py"
        (tmp_path / handler).write_text("\n".join(f"import {each}" for each in imports))
        environment = EnvironmentRule().for_model(tmp_path, handler, variables)
        return WorkerCommand(name, tmp_path, handler, environment, python)

    return make


@pytest.fixture
def module(modules):
    """``module("name", source)``: a module that templates can import."""

    def make(name: str, source: str) -> str:
        (modules / f"{name}.py").write_text(textwrap.dedent(source))
        return name

    return make


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
    gone = LocalWorker(2**22 + 1, worker.channel, worker.exited, worker._output)
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
    before = open_files()
    with pytest.raises(WorkerStartFailed, match=r"no process for W-9000-m_1\.0: .*nowhere"):
        await launcher.launch(command(python="/nowhere/python"))
    assert open_files() == before


async def test_the_second_fork_comes_from_the_same_template(forks, command):
    first = await forks.launch(command("W-1-m"))
    second = await forks.launch(command("W-2-m"))
    assert parent_of(first.pids[0]) == parent_of(second.pids[0]) != os.getpid()
    await asyncio.gather(first.stop(0), second.stop(0))


async def test_many_forks_at_once_are_told_apart(forks, command):
    workers = await asyncio.gather(*(forks.launch(command(f"W-{n}-m")) for n in range(12)))
    assert len({worker.pids[0] for worker in workers}) == 12
    os.kill(workers[3].pids[0], signal.SIGKILL)
    await asyncio.wait_for(workers[3].channel.ended, 5)
    assert not any(worker.channel.ended.done() for worker in workers if worker is not workers[3])
    await asyncio.gather(*(worker.stop(5) for worker in workers))
    assert [worker.exited.result() for worker in workers].count(0) == 11


async def test_a_fork_cancelled_midway_does_not_answer_for_the_next(forks, command, eventually):
    await (await forks.launch(command())).stop(0)
    template = next(iter(forks._templates.values()))
    os.kill(template.pid, signal.SIGSTOP)
    late = asyncio.ensure_future(forks.launch(command("W-late-m")))
    await asyncio.sleep(0.05)
    late.cancel()
    await asyncio.wait({late})
    following = asyncio.ensure_future(forks.launch(command("W-next-m")))
    await asyncio.sleep(0.05)
    os.kill(template.pid, signal.SIGCONT)
    worker = await asyncio.wait_for(following, 5)
    assert await asyncio.wait_for(worker.channel.ask(Ping(), Kind.PONG), 5) == Pong()
    os.kill(worker.pids[0], signal.SIGKILL)
    await asyncio.wait_for(worker.channel.ended, 5)
    await asyncio.wait_for(worker.exited, 5)
    await eventually(lambda: not (template.busy))


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
    assert (await worker.channel.ask(Ping(5), Kind.PONG)).token == 5
    await worker.stop(0)


async def test_another_environment_gets_another_template(forks, command, module):
    library = module("reads_early", "import os\nSEEN = os.environ.get('OMP_NUM_THREADS')")
    commands = [
        command(f"W-{number}-m", library, OMP_NUM_THREADS=threads)
        for number, threads in enumerate(("1", "2", "1"))
    ]
    workers = [await forks.launch(each) for each in commands]
    one, two, three = [parent_of(worker.pids[0]) for worker in workers]
    assert one == three != two
    await asyncio.gather(*(worker.stop(0) for worker in workers))


async def test_models_that_differ_in_their_import_path_share_a_template(forks, command, tmp_path):
    (tmp_path / "other").mkdir()
    first = command("W-1-m")
    second = replace(
        first, environment={**first.environment, "PYTHONPATH": str(tmp_path / "other")}
    )
    workers = [await forks.launch(each) for each in (first, second)]
    assert len({parent_of(worker.pids[0]) for worker in workers}) == 1
    await asyncio.gather(*(worker.stop(0) for worker in workers))


async def test_the_archive_is_looked_through_once_for_all_its_workers(forks, command, monkeypatch):
    searched = []
    search = imports.needed_imports
    monkeypatch.setattr(
        imports, "needed_imports", lambda *given: searched.append(given) or search(*given)
    )
    workers = await asyncio.gather(*(forks.launch(command(f"W-{n}-m")) for n in range(3)))
    assert len(searched) == 1
    await asyncio.gather(*(worker.stop(0) for worker in workers))


async def test_other_libraries_get_another_template(forks, command, module):
    one, two = module("lib_one", ""), module("lib_two", "")
    first, second, third = [
        await forks.launch(command(f"W-{names}", *names.split()))
        for names in (one, two, f"{one} {two}")
    ]
    assert len({parent_of(worker.pids[0]) for worker in (first, second, third)}) == 3
    await asyncio.gather(*(worker.stop(0) for worker in (first, second, third)))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "Python threads",
        ),
        ("import os\nos._exit(0)", "ended while importing"),
    ],
)
async def test_an_unsafe_template_means_fresh_interpreters(
    forks, command, module, source, reason, caplog
):
    name = module("unsafe_library", source)
    workers = [await forks.launch(command(f"W-{n}-m", name)) for n in range(2)]
    assert [parent_of(worker.pids[0]) for worker in workers] == [os.getpid()] * 2
    assert caplog.text.count(reason) == 1
    assert not forks._templates
    await asyncio.gather(*(worker.stop(0) for worker in workers))


async def test_a_library_that_cannot_be_imported_is_left_to_the_worker(forks, command):
    worker = await forks.launch(command("W-1-m", "no_such_library_anywhere"))
    assert parent_of(worker.pids[0]) != os.getpid()
    await worker.stop(0)


async def test_imports_that_never_end_give_way_to_a_fresh_interpreter(
    forks, command, module, monkeypatch, eventually
):
    monkeypatch.setattr(templates, "PRELOAD_WAIT", 0.5)
    name = module("slow_library", "import time\ntime.sleep(600)")
    started = []
    spawn = templates.spawn
    monkeypatch.setattr(
        templates, "spawn", lambda *given: started.append(spawn(*given)) or started[-1]
    )
    worker = await forks.launch(command("W-1-m", name))
    assert parent_of(worker.pids[0]) == os.getpid()
    await worker.stop(0)
    await eventually(lambda: not (alive(started[0].pid)))


async def test_a_launch_cancelled_while_its_template_imports_leaves_no_process(
    forks, command, module, monkeypatch, open_files, eventually
):
    name = module("slow_library", "import time\ntime.sleep(600)")
    started = []
    spawn = templates.spawn
    monkeypatch.setattr(
        templates, "spawn", lambda *given: started.append(spawn(*given)) or started[-1]
    )
    await (await forks._spawn.launch(command())).stop(0)
    await asyncio.sleep(0.05)
    before = open_files()
    launching = asyncio.ensure_future(forks.launch(command("W-1-m", name)))
    await asyncio.sleep(0.3)
    launching.cancel()
    await asyncio.wait({launching})
    await eventually(lambda: not (alive(started[0].pid) or open_files() != before))


async def test_no_process_for_a_template_is_tried_again_next_time(
    forks, command, monkeypatch, open_files
):
    await (await forks._spawn.launch(command())).stop(0)
    await asyncio.sleep(0.05)
    before = open_files()

    def refuse(*_):
        raise OSError("too many processes")

    with monkeypatch.context() as patch:
        patch.setattr(templates, "spawn", refuse)
        worker = await forks.launch(command())
        assert parent_of(worker.pids[0]) == os.getpid()
        await worker.stop(0)
    await asyncio.sleep(0.05)
    assert open_files() == before
    worker = await forks.launch(command())
    assert parent_of(worker.pids[0]) != os.getpid()
    await worker.stop(0)


async def test_a_template_that_dies_takes_its_workers_and_is_replaced(forks, command, eventually):
    worker = await forks.launch(command())
    template = parent_of(worker.pids[0])
    os.kill(template, signal.SIGKILL)
    await asyncio.wait_for(worker.channel.ended, 5)
    assert await worker.died_of_kill()
    await eventually(lambda: not (alive(worker.pids[0])))
    following = await forks.launch(command())
    assert parent_of(following.pids[0]) not in (template, os.getpid())
    await following.stop(0)


async def test_a_template_that_dies_while_forking_gives_way_to_a_fresh_interpreter(
    forks, command, open_files
):
    await (await forks.launch(command())).stop(0)
    template = next(iter(forks._templates.values()))
    os.kill(template.pid, signal.SIGSTOP)
    launching = asyncio.ensure_future(forks.launch(command()))
    queued = asyncio.ensure_future(forks.launch(command()))
    await asyncio.sleep(0.05)
    os.kill(template.pid, signal.SIGKILL)
    for worker in await asyncio.wait_for(asyncio.gather(launching, queued), 10):
        assert parent_of(worker.pids[0]) == os.getpid()
        await worker.stop(0)


async def test_a_template_is_ended_a_while_after_its_last_worker(
    forks, command, monkeypatch, eventually
):
    monkeypatch.setattr(templates, "IDLE", 0.2)
    worker = await forks.launch(command())
    template = parent_of(worker.pids[0])
    await asyncio.sleep(0.4)
    assert alive(template), "it has a worker"
    await worker.stop(0)
    await asyncio.sleep(0.1)
    again = await forks.launch(command())
    assert parent_of(again.pids[0]) == template, "within its time it serves again"
    await asyncio.sleep(0.4)
    assert alive(template)
    await again.stop(0)
    await eventually(lambda: not (alive(template)))
    assert not forks._templates


async def test_closing_ends_a_template_that_is_being_retired(forks, command, monkeypatch):
    monkeypatch.setattr(templates, "IDLE", 0.01)
    worker = await forks.launch(command())
    template = parent_of(worker.pids[0])
    await worker.stop(0)
    await asyncio.sleep(0.012)
    await forks.close()
    assert not alive(template)


async def test_closing_ends_templates_with_their_workers(forks, command):
    worker = await forks.launch(command())
    template = parent_of(worker.pids[0])
    await forks.close()
    assert not alive(template)
    await asyncio.wait_for(worker.channel.ended, 5)
    assert (await worker.exited) == -signal.SIGKILL


@pytest.mark.parametrize("forked", [False, True], ids=["spawned", "forked"])
async def test_hidden_variables_are_hidden_in_every_worker(live, forked, monkeypatch):
    monkeypatch.setenv("FLAMBEAU_SECRET", "hidden")
    monkeypatch.setenv("FLAMBEAU_OPEN", "seen")
    one = await live(
        shop={
            "forked": forked,
            "hidden": ".*SECRET|TS_HIDDEN",
            "worker_environment": {"TS_HIDDEN": "x", "TS_GIVEN": "y"},
        }
    )
    said = [
        (await one.told(f"env {name}")).said
        for name in ("FLAMBEAU_SECRET", "FLAMBEAU_OPEN", "TS_HIDDEN", "TS_GIVEN")
    ]
    assert said == ["-", "seen", "-", "y"]


@pytest.mark.parametrize("forked", [False, True], ids=["spawned", "forked"])
async def test_what_a_worker_prints_comes_line_by_line(live, forked, eventually):
    one = await live(shop={"forked": forked})
    await one.told("print first")
    await one.told("print second ü")
    expected = {
        ("W-9000-m_1.0", stream, text)
        for stream in ("stdout", "stderr")
        for text in ("first", "second ü")
    }
    await eventually(lambda: expected <= set(one.lines))
    assert [line[2] for line in one.lines if line[1] == "stdout"] == ["first", "second ü"]


async def test_an_endless_line_is_cut_and_the_last_one_needs_no_end(live, eventually):
    one = await live(
        """
        import os, sys
        def handle(data, context):
            if data is None:
                return None
            sys.stdout.write("x" * 200_000)
            sys.stdout.flush()
            os._exit(0)
        """
    )
    await one.ask()
    await eventually(lambda: sum(len(line[2]) for line in one.lines) == 200_000)
    assert max(len(line[2]) for line in one.lines) <= 64 * 1024 + 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("forked", "rounds"), [(True, 170), (False, 30)])
async def test_launches_leak_no_descriptor(lines, command, forked, rounds, open_files, eventually):
    def drop(*_: str) -> None:
        pass

    launcher = ForkLauncher(EnvironmentRule(), drop) if forked else SpawnLauncher(drop)

    async def round_trip(number: int) -> None:
        worker = await launcher.launch(command(f"W-{number}-m"))
        if number % 3:
            await worker.stop(0)
        else:
            worker.channel.close()
            await asyncio.wait({worker.exited})

    await round_trip(1)
    await asyncio.sleep(0.3)
    before = open_files()
    for number in range(0, rounds, 5):
        await asyncio.gather(*(round_trip(number + step) for step in range(5)))
    await eventually(lambda: open_files() == before)
    await launcher.close()


SERVER = """
import asyncio, sys, time
from pathlib import Path
from flambeau.supervision.environment import EnvironmentRule
from flambeau.supervision.launcher import WorkerCommand
from flambeau.supervision.process import SpawnLauncher
from flambeau.supervision.templates import ForkLauncher

async def main():
    rule, drop = EnvironmentRule(), lambda *_: None
    launcher = ForkLauncher(rule, drop) if sys.argv[1] == "forked" else SpawnLauncher(drop)
    folder = Path("/tmp")
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


@pytest.mark.parametrize("kind", ["spawned", "forked"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_no_worker_outlives_a_server_that_is_killed(kind, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, kind, loop], stdout=subprocess.PIPE, text=True
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
