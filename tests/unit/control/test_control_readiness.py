from __future__ import annotations

import os
import signal

import pytest

from flambeau.control.readiness import Lack, Readiness
from flambeau.control.registry import Registry

pytestmark = pytest.mark.usefixtures("loud_loop")

BROKEN = "def handle(data, context):\n    raise RuntimeError('no weights')\n"


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def readiness(registry):
    return Readiness(registry)


def promised(registry, readiness, one):
    registry.add(one.version)
    readiness.promise("m", "1.0")


def test_a_server_without_start_up_models_lacks_nothing(readiness):
    assert readiness.lacking() == []


def test_what_could_not_be_registered_lacks_until_it_comes(readiness):
    readiness.failed("broken.mar", "Failed to save model: broken.mar")
    assert readiness.lacking() == [
        Lack("broken.mar", "it could not be registered: Failed to save model: broken.mar")
    ]
    readiness.came("other.mar")
    assert len(readiness.lacking()) == 1
    readiness.came("broken.mar")
    assert readiness.lacking() == []


async def test_a_model_lacks_while_it_loads(live, registry, readiness, tmp_path, eventually):
    gate = tmp_path / "gate"
    slow = (
        "import os, time\n"
        f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.001)\n"
        "def handle(data, context):\n    return data and ['x'] * len(data)\n"
    )
    one = await live(slow, wait=False)
    promised(registry, readiness, one)
    assert readiness.lacking() == [Lack("m 1.0", "it is loading")]
    gate.touch()
    await eventually(lambda: readiness.lacking() == [])


async def test_a_model_that_cannot_load_names_its_cause(live, registry, readiness, eventually):
    one = await live(BROKEN, wait=False)
    promised(registry, readiness, one)
    await eventually(lambda: one.version.slots[0].standing.tries > 0)
    (lack,) = readiness.lacking()
    assert lack.reason.startswith("its worker failed: RuntimeError: no weights")


async def test_one_worker_that_answers_is_enough(live, registry, readiness, eventually):
    one = await live(workers=2)
    promised(registry, readiness, one)
    first, second = [slot.worker.pids[0] for slot in one.version.slots]
    os.kill(first, signal.SIGSTOP)
    try:
        await eventually(lambda: one.dispatcher.answering == 1)
        assert readiness.lacking() == []
        os.kill(second, signal.SIGSTOP)
        await eventually(lambda: readiness.lacking() != [])
        assert readiness.lacking() == [Lack("m 1.0", "its workers do not answer")]
    finally:
        os.kill(first, signal.SIGCONT)
        os.kill(second, signal.SIGCONT)
    await eventually(lambda: readiness.lacking() == [])


async def test_a_model_scaled_to_nothing_lacks_and_an_unregistered_one_does_not(
    live, registry, readiness
):
    one = await live()
    promised(registry, readiness, one)
    one.version.scale(0, 0)
    await one.version.left()
    assert readiness.lacking() == [Lack("m 1.0", "it has no workers")]
    registry.remove(one.version)
    assert readiness.lacking() == []
