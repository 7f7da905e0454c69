from __future__ import annotations

import asyncio
import time

from flambeau.spread import STRETCH, finish, spread


def pieces(done: list[int], number: int = 10):
    for one in range(number):
        until = time.perf_counter() + STRETCH
        while time.perf_counter() < until:
            pass
        done.append(one)
        yield


async def test_other_work_goes_between_the_pieces():
    done: list[int] = []
    seen: list[int] = []
    work = asyncio.create_task(spread(pieces(done)))
    while not work.done():
        await asyncio.sleep(0)
        seen.append(len(done))
    assert done == [*range(10)]
    assert {2, 5, 8} <= set(seen)


async def test_a_busy_loop_gives_more_of_its_time_so_that_nothing_piles_up():
    done: list[int] = []
    work = asyncio.create_task(spread(pieces(done, 1000)))
    rounds = 0
    while not work.done():
        rounds += 1
        # A round of many requests: forty times as long as a piece.
        until = time.perf_counter() + 40 * STRETCH
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)
    assert rounds < 300


async def test_an_error_in_a_piece_reaches_who_asked():
    def broken():
        yield
        raise ValueError("broken")

    work = asyncio.create_task(spread(broken()))
    await asyncio.wait([work])
    assert str(work.exception()) == "broken"


def test_finish_runs_all_pieces_at_once():
    done: list[int] = []
    finish(pieces(done))
    assert done == [*range(10)]


async def test_an_idle_loop_sleeps_between_the_pieces(monkeypatch):
    """Whoever else was woken on this processor gets it at once, not when all is done."""
    loop = asyncio.get_running_loop()
    select, waits = loop._selector.select, []

    def noted(timeout):
        waits.append(timeout)
        return select(timeout)

    monkeypatch.setattr(loop._selector, "select", noted)
    await spread(pieces([], 5))
    assert sum(wait is None or wait > 0 for wait in waits) >= 3
