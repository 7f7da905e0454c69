"""One request on its way to a worker, and its answer.

A job is made by a face, waits in the queue of one model version, travels in a batch and is
answered by calling ``on_answer``: once, or several times when the answer is a stream. Whoever
holds a job and cannot go on answers it with an error; a job is never just dropped, unless its
client has gone.
"""

from __future__ import annotations

import itertools
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.errors import FlambeauError

_ids = itertools.count(1)


class Part(NamedTuple):
    """One named input. ``chunks`` are the received pieces of its value, not joined."""

    name: str
    content_type: str
    chunks: list[bytes]


class Answer:
    """What one job got: a handler's reply, a piece of a stream (``more``), or an error."""

    __slots__ = ("body", "error", "headers", "more", "phrase", "status")

    def __init__(
        self,
        status: int = 200,
        phrase: str = "",
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
        *,
        more: bool = False,
        error: FlambeauError | None = None,
    ) -> None:
        self.status = status
        self.phrase = phrase
        self.headers = headers or []
        self.body = body
        self.more = more
        self.error = error


class Job:
    """One request: inputs, headers, when it came, and whom to tell the answer.

    ``arrived`` and ``deadline`` are in seconds of ``time.monotonic``. ``cancelled`` is set by the
    face when its client has gone: a queued job is then dropped before it reaches a worker.
    """

    __slots__ = (
        "alone",
        "arrived",
        "cancelled",
        "deadline",
        "headers",
        "id",
        "on_answer",
        "parts",
        "request_id",
        "started",
        "streaming",
        "taken",
    )

    def __init__(
        self,
        request_id: str,
        headers: list[tuple[str, str]],
        parts: list[Part],
        on_answer: Callable[[Job, Answer], None],
    ) -> None:
        self.id = next(_ids)
        self.request_id = request_id
        self.headers = headers
        self.parts = parts
        self.on_answer = on_answer
        self.arrived = monotonic()
        self.deadline: float | None = None
        self.taken = 0.0
        """When it left the queue in a batch; 0 while it waits."""
        self.started = False
        """The worker may have begun with it: it must not be tried a second time."""
        self.alone = False
        """Goes in a batch of its own (describe requests)."""
        self.cancelled = False
        self.streaming = False
        """At least one piece of a stream has been sent."""

    def fail(self, error: FlambeauError) -> None:
        """Answer with ``error``, unless the client has gone."""
        if not self.cancelled:
            self.on_answer(self, Answer(status=error.status, error=error))
