from __future__ import annotations

import os
import signal
from time import monotonic

import pytest

from flambeau.jobs.pulse import MISSED, Pulse
from flambeau.transport.messages import Ping

pytestmark = pytest.mark.usefixtures("loud_loop")


class Line:
    """A channel as a pulse sees it."""

    def __init__(self):
        self.heard = 7
        self.sent = []

    def send(self, message):
        self.sent.append(message)


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def pulse(line):
    return Pulse(line)


def test_a_worker_that_has_just_loaded_answers(pulse):
    assert pulse.answering


def test_an_idle_worker_is_asked_again_once_it_has_answered(line, pulse):
    for _ in range(3):
        pulse.beat(busy=False)
        assert pulse.answering
        line.heard += 1
    assert line.sent == [Ping()] * 3


def test_an_idle_worker_that_is_silent_is_asked_once_and_counts_as_silent(line, pulse):
    pulse.beat(busy=False)
    for beat in range(1, MISSED + 3):
        pulse.beat(busy=False)
        assert pulse.answering is (beat < MISSED)
    assert len(line.sent) == 1


def test_whatever_a_silent_worker_says_brings_it_back(line, pulse):
    for _ in range(MISSED + 1):
        pulse.beat(busy=False)
    line.heard += 1
    pulse.beat(busy=False)
    assert pulse.answering


def test_a_worker_that_computes_is_neither_asked_nor_missed(line, pulse):
    for _ in range(50):
        pulse.beat(busy=True)
    assert pulse.answering
    assert line.sent == []
    pulse.beat(busy=False)
    for _ in range(50):
        pulse.beat(busy=True)
    assert pulse.answering


def test_a_silent_worker_stays_silent_when_it_is_given_work(pulse):
    for _ in range(MISSED + 1):
        pulse.beat(busy=False)
    pulse.beat(busy=True)
    assert not pulse.answering


async def test_a_stopped_process_is_noticed_and_so_is_its_return(live, eventually):
    one = await live()
    pid = (await one.told()).pid
    assert one.dispatcher.answering == 1
    os.kill(pid, signal.SIGSTOP)
    try:
        await eventually(lambda: not one.dispatcher.answering)
        assert one.dispatcher.ready == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    await eventually(lambda: one.dispatcher.answering == 1)
    assert (await one.told("again")).said == "again"


async def test_a_killed_process_answers_no_more_and_the_next_one_does(live, eventually):
    one = await live()
    pid = (await one.told()).pid
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not one.dispatcher.answering)
    await eventually(lambda: one.dispatcher.answering == 1)


async def test_a_worker_that_computes_for_long_counts_as_answering(live, tmp_path, eventually):
    one = await live()
    gate = tmp_path / "gate"
    busy = one.ask(f"until {gate}")
    begun = monotonic()
    await eventually(lambda: monotonic() - begun > 1.5 or not one.dispatcher.answering)
    assert one.dispatcher.answering == 1
    gate.touch()
    await busy
