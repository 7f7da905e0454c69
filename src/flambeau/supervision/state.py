"""Worker states and the moves between them.

Two rules: a promise is published after the fact (``ready`` when the worker has answered), a
withdrawal before it (``stopping`` before the worker is told). Every move goes through ``move``,
which refuses others, stamps the time and keeps the reason.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from time import monotonic


class State(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"
    STOPPED = "stopped"


MOVES: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.LOADING, State.FAILED, State.STOPPING}),
    State.LOADING: frozenset({State.READY, State.FAILED, State.STOPPING}),
    State.READY: frozenset({State.STOPPING, State.FAILED}),
    State.FAILED: frozenset({State.STARTING, State.STOPPING}),
    State.STOPPING: frozenset({State.STOPPED}),
    State.STOPPED: frozenset(),
}


class Standing:
    """The state one worker is in, since when, and what brought it down last.

    ``failing_since`` is the time (``monotonic``) of the first failure in a row, None while all is
    well; ``tries`` counts the failures in that row.
    """

    def __init__(self) -> None:
        self.state = State.STARTING
        self.since = datetime.now(UTC)
        self.cause = ""
        self.tries = 0
        self.failing_since: float | None = None
        self.next_try: datetime | None = None

    def move(self, state: State) -> None:
        """Enter ``state``.

        Raises ValueError for a move the table does not have.
        """
        if state not in MOVES[self.state]:
            raise ValueError(f"a worker cannot go from {self.state} to {state}")
        self.state = state
        self.since = datetime.now(UTC)
        if state is State.READY:
            self.failing_since, self.tries, self.cause = None, 0, ""
        if state is not State.FAILED:
            self.next_try = None

    def fail(self, cause: str, next_try: datetime | None = None) -> None:
        """Enter ``failed`` with the reason and the time of the next start."""
        self.move(State.FAILED)
        self.cause = cause
        self.tries += 1
        self.next_try = next_try
        if self.failing_since is None:
            self.failing_since = monotonic()

    def failing_for(self) -> float:
        """Seconds since the first failure in a row; 0 while all is well."""
        return 0.0 if self.failing_since is None else monotonic() - self.failing_since
