"""What a policy wants, within bounds that a scale call sets: real workers that come and go."""

from __future__ import annotations

import asyncio

import pytest

from flambeau.control.describe import describe
from flambeau.control.readiness import Readiness
from flambeau.control.registry import Registry
from flambeau.errors import NoWorker, Unavailable


class Crowd:
    """A policy of the simplest kind: as many workers as requests wait or run, none when idle."""

    def __init__(self, version) -> None:
        self.version = version

    def look(self) -> None:
        dispatcher = self.version.dispatcher
        load = dispatcher.batcher.pending + dispatcher.in_flight
        self.version.want(load, f"{load} requests")


def bounds(version) -> tuple[int, int]:
    view = describe(version, str)
    return view.minWorkers, view.maxWorkers


async def settled(one) -> None:
    """Returns when all workers are ready and those told to go are gone."""
    await one.loaded()
    await one.version.left()


async def test_a_policy_moves_workers_up_down_and_to_sleep_and_no_request_is_lost(
    live, told, tmp_path, caplog
):
    caplog.set_level("INFO", "flambeau.control")
    one = await live(shop={"strict_batching": False})
    version, policy, gate = one.version, Crowd(one.version), tmp_path / "gate"
    version.scale(1, 3)
    asked = [one.ask(f"until {gate}") for _ in range(5)]
    policy.look()
    assert (version.wanted, len(version.slots)) == (3, 3)
    await settled(one)
    gate.touch()
    pids = {told(answer).pid for answer in await asyncio.gather(*asked)}
    assert len(pids) > 1, "the new workers have taken their part"
    version.want(1, "quiet")
    await settled(one)
    assert (version.wanted, len(version.slots)) == (1, 1)
    policy.look()
    await settled(one)
    assert (version.wanted, version.slots, version.asleep) == (0, [], True)
    woken = [one.ask() for _ in range(4)]
    assert (version.wanted, version.asleep) == (1, False)
    assert not [answer.error for answer in await asyncio.gather(*woken) if answer.error]
    assert bounds(version) == (1, 3), "no policy has moved the bounds"
    assert "m 1.0 wants 3 workers: 5 requests" in caplog.text
    assert "m 1.0 wants 1 workers: a request came" in caplog.text


async def test_a_version_that_falls_asleep_with_requests_waiting_wakes_at_once(live, tmp_path):
    one = await live()
    gate = tmp_path / "gate"
    asked = [one.ask(f"until {gate}"), one.ask(), one.ask()]
    one.version.want(0, "a mistaken policy")
    gate.touch()
    assert not [answer.error for answer in await asyncio.gather(*asked) if answer.error]


@pytest.mark.parametrize(("count", "got"), [(1, 2), (3, 3), (9, 4), (-2, 0)])
async def test_a_wish_beyond_the_bounds_means_the_nearest_number_within(live, count, got):
    one = await live(workers=0)
    one.version.scale(2, 4)
    one.version.want(count, "a test")
    assert (one.version.wanted, len(one.version.slots)) == (got, got)
    assert bounds(one.version) == (2, 4)


async def test_new_bounds_move_the_wish_only_as_far_as_they_must(live):
    one = await live(workers=0)
    version = one.version
    for least, most, wanted in ((2, 4, 2), (1, 3, 2), (0, 1, 1), (0, 5, 1), (0, 0, 0)):
        version.scale(least, most)
        assert (version.wanted, len(version.slots)) == (wanted, wanted)


async def test_scaled_to_nothing_is_refused_and_put_to_sleep_is_woken(live):
    one = await live()
    for least, most in ((0, 0), (0, 1)):  # the call has not said that workers come by themselves
        one.version.scale(least, most)
        assert not one.version.asleep
        with pytest.raises(NoWorker):
            one.ask()
    one.version.want(0, "quiet")
    assert one.version.asleep
    assert (await one.ask()).error is None


async def test_a_sleeper_is_ready_since_it_comes_when_it_is_asked_for(live):
    one = await live()
    registry = Registry()
    registry.add(one.version)
    readiness = Readiness(registry)
    readiness.promise("m", "1.0")
    one.version.want(0, "quiet")
    await settled(one)
    assert readiness.lacking() == []
    one.version.scale(0, 0)
    assert [lack.reason for lack in readiness.lacking()] == ["it has no workers"]


async def test_nothing_is_wanted_of_a_closed_version(live):
    one = await live()
    await one.version.close(Unavailable("over"), 0.0)
    assert not one.version.asleep
    with pytest.raises(Unavailable, match="over"):
        one.version.want(1, "too late")
