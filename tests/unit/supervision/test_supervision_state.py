from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from flambeau.supervision.state import MOVES, Standing, State

ALLOWED = {
    ("starting", "loading"),
    ("starting", "failed"),
    ("starting", "stopping"),
    ("loading", "ready"),
    ("loading", "failed"),
    ("loading", "stopping"),
    ("ready", "failed"),
    ("ready", "stopping"),
    ("failed", "starting"),
    ("failed", "stopping"),
    ("stopping", "stopped"),
}


def standing_in(state: State) -> Standing:
    standing = Standing()
    standing.state = state
    return standing


@pytest.mark.parametrize(("before", "after"), sorted(product(State, State)))
def test_every_move_is_allowed_or_refused_as_listed(before, after):
    standing = standing_in(before)
    if (before, after) in ALLOWED:
        standing.move(after)
        assert standing.state is after
    else:
        with pytest.raises(ValueError, match=f"from {before} to {after}"):
            standing.move(after)
        assert standing.state is before


def test_the_table_covers_every_state():
    assert set(MOVES) == set(State)


def test_a_move_stamps_the_time():
    standing = Standing()
    standing.since = datetime.now(UTC) - timedelta(hours=1)
    standing.move(State.LOADING)
    assert datetime.now(UTC) - standing.since < timedelta(seconds=5)


def test_failures_are_counted_until_one_start_succeeds():
    standing = Standing()
    since = set()
    for tries in (1, 2, 3):
        standing.fail(f"cause {tries}", datetime.now(UTC))
        assert (standing.tries, standing.cause) == (tries, f"cause {tries}")
        since.add(standing.failing_since)
        assert len(since) == 1
        standing.move(State.STARTING)
        assert standing.next_try is None
    standing.move(State.LOADING)
    assert standing.tries == 3
    assert standing.failing_for() > 0
    standing.move(State.READY)
    assert (standing.tries, standing.cause, standing.failing_for()) == (0, "", 0.0)


def test_the_next_try_is_shown_while_failed():
    standing = Standing()
    when = datetime.now(UTC)
    standing.fail("why", when)
    assert standing.next_try == when
