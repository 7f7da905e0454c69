"""Workers as forks of a template."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from flambeau.supervision import imports, templates
from flambeau.transport.messages import Kind, Ping, Pong
from tests.processes import alive, parent_of

pytestmark = pytest.mark.usefixtures("loud_loop")


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
    await eventually(lambda: len(template._forks) == 1)
    late.cancel()
    await asyncio.wait({late})
    following = asyncio.ensure_future(forks.launch(command("W-next-m")))
    os.kill(template.pid, signal.SIGCONT)
    worker = await asyncio.wait_for(following, 5)
    assert await asyncio.wait_for(worker.channel.ask(Ping(), Kind.PONG), 5) == Pong()
    os.kill(worker.pids[0], signal.SIGKILL)
    await asyncio.wait_for(worker.channel.ended, 5)
    await asyncio.wait_for(worker.exited, 5)
    await eventually(lambda: not (template.busy))


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
    await eventually(lambda: bool(started))
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
    forks, command, eventually
):
    await (await forks.launch(command())).stop(0)
    template = next(iter(forks._templates.values()))
    os.kill(template.pid, signal.SIGSTOP)
    launching = asyncio.ensure_future(forks.launch(command()))
    queued = asyncio.ensure_future(forks.launch(command()))
    await eventually(lambda: len(template._forks) == 1)
    os.kill(template.pid, signal.SIGKILL)
    for worker in await asyncio.wait_for(asyncio.gather(launching, queued), 10):
        assert parent_of(worker.pids[0]) == os.getpid()
        await worker.stop(0)


async def test_a_template_is_ended_a_while_after_its_last_worker(
    forks, command, monkeypatch, eventually
):
    worker = await forks.launch(command())
    template = next(iter(forks._templates.values()))
    assert template.idle is None, "it has a worker"
    await worker.stop(0)
    await eventually(lambda: template.idle is not None)
    left = template.idle.when() - asyncio.get_running_loop().time()
    assert templates.IDLE - 20 < left <= templates.IDLE + 1
    again = await forks.launch(command())
    assert parent_of(again.pids[0]) == template.pid, "within its time it serves again"
    assert template.idle is None
    monkeypatch.setattr(templates, "IDLE", 0.01)
    await again.stop(0)
    await eventually(lambda: not alive(template.pid))
    assert not forks._templates


async def test_closing_ends_a_template_that_is_being_retired(
    forks, command, monkeypatch, eventually
):
    monkeypatch.setattr(templates, "IDLE", 0.01)
    worker = await forks.launch(command())
    template = parent_of(worker.pids[0])
    await worker.stop(0)
    await eventually(lambda: bool(forks._closing))
    await forks.close()
    assert not alive(template)


async def test_closing_ends_templates_with_their_workers(forks, command):
    worker = await forks.launch(command())
    template = parent_of(worker.pids[0])
    await forks.close()
    assert not alive(template)
    await asyncio.wait_for(worker.channel.ended, 5)
    assert (await worker.exited) == -signal.SIGKILL


@pytest.mark.parametrize("given", [{"ranks": 2}, {"devices": (1,)}], ids=["ranks", "devices"])
async def test_workers_with_variables_of_their_own_are_not_forked(forks, command, given):
    worker = await forks.launch(replace(command(), **given))
    assert {parent_of(pid) for pid in worker.pids} == {os.getpid()}
    assert not forks._templates
    await worker.stop(5)
