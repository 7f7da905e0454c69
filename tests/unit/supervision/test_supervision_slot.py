"""The life of a worker, with real processes."""

from __future__ import annotations

import asyncio
import os

import pytest

from flambeau.errors import WorkerStartFailed
from flambeau.supervision import slot as slots
from flambeau.supervision.state import State
from tests.processes import alive, children, settled

pytestmark = pytest.mark.usefixtures("loud_loop")

BY_FILE = """
import os, time
HERE = os.path.dirname(os.path.abspath(__file__))

def handle(data, context):
    if data is None:
        while os.path.exists(HERE + "/slow"):
            time.sleep(0.001)
        if os.path.exists(HERE + "/broken"):
            raise RuntimeError("no weights\\nsecond line")
        if os.path.exists(HERE + "/deadly"):
            os.kill(os.getpid(), 9)
        if os.path.exists(HERE + "/leaving"):
            os._exit(0)
        if os.path.exists(HERE + "/memory"):
            raise MemoryError("too big")
        return None
    return [str(os.getpid())] * len(data)
"""


@pytest.fixture(params=["spawned", "forked"])
def shop(request):
    return {"started": request.param}


@pytest.fixture
def late(monkeypatch):
    """A failed worker is not tried again within a test, unless somebody asks for it."""
    monkeypatch.setattr(slots, "BACK_OFF", (600,))


async def start(live, mark: str = "", **fields):
    """A version whose model folder holds the file ``mark``; nothing is waited for."""
    one = await live(BY_FILE, workers=0, wait=False, **fields)
    if mark:
        (one.version.files.model_dir / mark).touch()
    one.version.scale(1, 1)
    return one, one.version.slots[0], one.version.files.model_dir


async def test_a_worker_goes_from_starting_over_loading_to_ready(live, shop, metrics, eventually):
    one, slot, folder = await start(live, "slow", shop=shop)
    assert slot.standing.state is State.STARTING
    assert not slot.loaded.done()
    await eventually(lambda: slot.standing.state is State.LOADING)
    (folder / "slow").unlink()
    await slot.loaded
    assert slot.ready
    assert alive(slot.worker.pids[0])
    assert slot.worker.resident_bytes() > 1_000_000
    text = b"".join(metrics.exposition([])).decode()
    assert 'flambeau_workers{model_name="m",model_version="1.0",state="ready"} 1.0' in text
    assert one.version.healthy_workers == 1


async def test_stopping_is_said_before_the_worker_is_told(live, shop):
    _, slot, _ = await start(live, shop=shop)
    await slot.loaded
    pid = slot.worker.pids[0]
    stopping = asyncio.ensure_future(slot.stop(None))
    await asyncio.sleep(0)
    assert slot.standing.state is State.STOPPING
    assert not slot.ready
    await stopping
    assert slot.standing.state is State.STOPPED
    assert not alive(pid)
    await slot.stop(0)  # twice is harmless


@pytest.mark.parametrize("grace", [None, 5.0, 0.0])
async def test_retire_during_loading_ends_at_once(live, shop, grace, eventually):
    _, slot, _ = await start(live, "slow", shop=shop)
    await eventually(lambda: slot.standing.state is State.LOADING)
    pid = slot.worker.pids[0]
    await asyncio.wait_for(slot.stop(grace), 10)
    assert not alive(pid)
    with pytest.raises(WorkerStartFailed, match="stopped while it loaded"):
        await slot.loaded


MOMENTS = [0, 1, 2, 5, 20, State.LOADING, State.READY]
"""Rounds of the event loop after the start, or the state it has reached."""


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("grace", [None, 0.0])
async def test_a_stop_at_any_moment_of_the_start_leaves_nothing(
    live, shop, moment, grace, open_files, eventually
):
    one = await live(BY_FILE, shop=shop)  # what the loop itself opens for the first one stays
    one.version.scale(0, 0)
    await one.version.left()
    await one.launcher.close()
    before = await settled(open_files, 0.05)
    one.version.scale(1, 1)
    slot = one.version.slots[0]
    if isinstance(moment, State):
        await eventually(lambda: slot.standing.state is moment)
    else:
        for _ in range(moment):
            await asyncio.sleep(0)
    one.version.scale(0, 0, grace)
    await asyncio.wait_for(one.version.left(), 10)
    assert slot.loaded.done()
    await one.launcher.close()
    await eventually(lambda: open_files() == before)
    assert children() == []


async def test_the_root_cause_of_a_failed_load_is_told(live, shop):
    _, slot, _ = await start(live, "broken", shop=shop)
    with pytest.raises(WorkerStartFailed) as raised:
        await slot.loaded
    assert str(raised.value) == "RuntimeError: no weights (handler.py:10)"
    assert not raised.value.out_of_memory
    standing = slot.standing
    assert (standing.state, standing.tries, standing.cause) == (
        State.FAILED,
        1,
        "RuntimeError: no weights (handler.py:10)",
    )
    assert standing.next_try is not None


@pytest.mark.parametrize(
    ("mark", "text", "memory"),
    [
        ("deadly", "killed while loading", True),
        ("leaving", "ended while loading", False),
        ("memory", "MemoryError: too big", True),
    ],
)
async def test_every_end_while_loading_has_its_words(live, shop, mark, text, memory):
    _, slot, _ = await start(live, mark, shop=shop)
    with pytest.raises(WorkerStartFailed, match=text) as raised:
        await slot.loaded
    assert raised.value.out_of_memory is memory
    assert raised.value.status == (507 if memory else 500)


async def test_a_load_over_the_startup_timeout_fails_and_ends_the_process(live, shop, eventually):
    _, slot, _ = await start(live, "slow", shop=shop, startup_timeout=0.1)
    await eventually(lambda: slot.worker is not None)
    pid = slot.worker.pids[0]
    with pytest.raises(WorkerStartFailed, match=r"did not load within 0\.1 s"):
        await slot.loaded
    assert not alive(pid)


@pytest.mark.usefixtures("soon")
async def test_a_failing_worker_heals_when_the_cause_is_gone(live, shop, eventually):
    one, slot, folder = await start(live, "broken", shop=shop)
    await eventually(lambda: slot.standing.tries >= 3)
    (folder / "broken").unlink()
    await eventually(lambda: slot.ready)
    assert slot.standing.tries == 0
    assert slot.standing.cause == ""
    assert (await one.ask()).error is None


async def test_the_back_off_grows_as_measured_and_is_capped(live, shop, eventually):
    measured = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597]
    assert list(slots.BACK_OFF) == measured
    _, slot, _ = await start(live, "broken", shop=shop, config={"max_retry_timeout": 4})
    waits = []
    for tries in range(1, 8):
        await eventually(
            lambda tries=tries: (slot.standing.tries, slot.standing.state) == (tries, State.FAILED)
        )
        waits.append(round((slot.standing.next_try - slot.standing.since).total_seconds()))
        await asyncio.sleep(0)
        slot.retry_now()
    assert waits == [1, 1, 2, 3, 4, 4, 4]


@pytest.mark.usefixtures("late")
async def test_a_scale_call_tries_a_failed_worker_again_at_once(live, shop, eventually):
    one, slot, folder = await start(live, "broken", shop=shop)
    with pytest.raises(WorkerStartFailed):
        await slot.loaded
    (folder / "broken").unlink()
    one.version.scale(1, 1)
    await eventually(lambda: slot.ready)


@pytest.mark.usefixtures("late")
async def test_a_stop_while_waiting_for_the_next_try_is_at_once(live, shop):
    _, slot, _ = await start(live, "broken", shop=shop)
    with pytest.raises(WorkerStartFailed):
        await slot.loaded
    await asyncio.wait_for(slot.stop(None), 10)
    assert slot.standing.state is State.STOPPED


@pytest.mark.usefixtures("soon")
async def test_a_restarted_worker_keeps_its_id_and_start_time(live, shop, eventually):
    one, slot, _ = await start(live, shop=shop)
    await slot.loaded
    number, started, pid = slot.number, slot.started, slot.worker.pids[0]
    os.kill(pid, 9)
    await eventually(lambda: slot.standing.tries == 1)
    assert slot.standing.cause == "Worker died."
    await eventually(lambda: slot.ready)
    assert (slot.number, slot.started) == (number, started)
    assert slot.worker.pids[0] != pid
    assert one.version.slots == [slot]


@pytest.mark.usefixtures("late")
async def test_a_worker_whose_own_child_holds_the_socket_is_missed_all_the_same(
    live, shop, tmp_path
):
    enough = tmp_path / "enough"
    one = await live(
        f"""
        import os, signal, time
        def handle(data, context):
            if data is None:
                return None
            if data[0]["body"] == b"die":
                if os.fork() == 0:
                    while not os.path.exists({str(enough)!r}):
                        time.sleep(0.01)
                    os._exit(0)
                os.kill(os.getpid(), signal.SIGKILL)
            return ["alive"] * len(data)
        """,
        shop=shop,
    )
    try:
        assert (await asyncio.wait_for(one.ask("die"), 10)).status == 507
        await one.version.slots[0].stop(0)
    finally:
        enough.touch()


@pytest.mark.usefixtures("soon")
async def test_a_handler_that_exits_ends_the_worker_not_the_slot(live, shop, eventually):
    one = await live(shop=shop)
    pid = (await one.told()).pid
    assert (await one.ask("exit 0")).status == 500
    await eventually(lambda: one.version.slots[0].ready)
    assert (await one.told()).pid != pid


async def test_something_unforeseen_is_a_failure_like_any_other(live, monkeypatch, caplog):
    one, slot, _ = await start(live)
    await slot.loaded

    async def broken(command):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(one.launcher, "launch", broken)
    slot.worker.kill()
    while slot.standing.cause != "unforeseen":
        slot.retry_now()
        await asyncio.sleep(0.005)
    assert "unexpected end" in caplog.text


async def test_a_crash_while_being_stopped_is_no_failure(live, shop, tmp_path, eventually):
    one = await live(shop=shop)
    slot = one.version.slots[0]
    asked = one.ask(f"note {tmp_path}/running;until {tmp_path}/go;exit 1")
    await eventually((tmp_path / "running").exists)
    stopping = asyncio.ensure_future(slot.stop(None))
    await eventually(lambda: slot.standing.state is State.STOPPING)
    (tmp_path / "go").touch()
    await asyncio.wait_for(stopping, 10)
    assert (await asked).status == 500
    assert (slot.standing.state, slot.standing.tries) == (State.STOPPED, 0)
