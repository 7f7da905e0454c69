from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
import time

import pytest

from flambeau.metrics.definitions import read_definitions
from flambeau.metrics.loop_lag import LATE, PERIOD, SAID_EVERY, LoopWatch, place_of
from flambeau.metrics.registry import Metrics


def hold_the_loop(seconds: float) -> None:
    time.sleep(seconds)


def hold_the_interpreter(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


@pytest.fixture
async def lags():
    """Every lag the watch of this test recorded."""
    recorded: list[float] = []
    watch = LoopWatch(recorded.append)
    yield recorded
    watch.close()


async def some(lags: list[float], number: int = 1) -> None:
    wanted = len(lags) + number
    while len(lags) < wanted:  # noqa: ASYNC110 - the watch tells nobody else
        await asyncio.sleep(PERIOD / 10)


@pytest.mark.parametrize("hold", [hold_the_loop, hold_the_interpreter])
async def test_what_holds_the_loop_is_named_with_how_long(lags, caplog, hold):
    await some(lags)
    with caplog.at_level(logging.WARNING, "flambeau.metrics"):
        hold(PERIOD + LATE + 0.3)
        await some(lags)
    assert max(lags) >= 0.3
    assert re.search(
        rf"was held up for \d{{3,}} ms, .* by .*metrics/test_metrics_loop_lag\.py:\d+ {hold.__name__}, "
        r"called by metrics/test_metrics_loop_lag\.py",
        caplog.text,
    )


async def test_a_loop_that_turns_is_recorded_and_not_complained_of(lags, caplog):
    await some(lags, 3)
    assert all(lag >= 0 for lag in lags)
    if max(lags) < LATE:
        assert "held up" not in caplog.text


async def test_warnings_do_not_flood_the_log(lags, caplog):
    began = time.monotonic()
    for _ in range(3):
        hold_the_loop(PERIOD + LATE + 0.05)
        await some(lags)
    assert caplog.text.count("held up") <= 1 + (time.monotonic() - began) // SAID_EVERY
    assert sum(lag >= LATE for lag in lags) >= 3


async def test_a_closed_watch_leaves_nothing_behind():
    recorded: list[float] = []
    LoopWatch(recorded.append).close()
    assert "loop-watch" not in [thread.name for thread in threading.enumerate()]
    await asyncio.sleep(1.5 * PERIOD)
    assert recorded == []


def test_a_loop_with_nothing_to_do_is_not_blamed():
    async def nothing():
        await asyncio.sleep(0.05)
        return place_of(None)

    assert "did not get a processor" in asyncio.run(nothing())


def test_a_place_names_its_callers():
    assert re.match(
        r"metrics/test_metrics_loop_lag\.py:\d+ test_a_place_names_its_callers, called by ",
        place_of(sys._getframe()),
    )


def test_the_lag_is_a_metric_without_labels():
    metrics = Metrics(read_definitions(), hostname="vm")
    metrics.loop_lag.record(0.02)
    text = b"".join(metrics.exposition(["flambeau_loop_lag_seconds_bucket"])).decode()
    assert 'flambeau_loop_lag_seconds_bucket{le="0.01"} 0.0\n' in text
    assert 'flambeau_loop_lag_seconds_bucket{le="0.025"} 1.0\n' in text
