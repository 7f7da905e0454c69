"""One request on its way to a worker, and its answer.

A job is made by a face, waits in the queue of one model version, travels in a batch and is
answered through ``answer``: once, or several times when the answer is a stream. Whoever holds a
job and cannot go on answers it with an error; a job is never just dropped, unless its client has
gone. A face that fails while it takes an answer hurts nobody else: that is logged here.
"""

from __future__ import annotations

import itertools
import logging
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from flambeau.transport.messages import NO_HEADERS, Headers, pack_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.errors import FlambeauError

__all__ = ["NO_HEADERS", "NO_MODEL", "Answer", "Flow", "Headers", "Job", "Part", "pack_headers"]

logger = logging.getLogger("flambeau.jobs")

NO_MODEL = ("", "")


class Part(NamedTuple):
    """One named input. ``chunks`` are the received pieces of its value, not joined."""

    name: str
    content_type: str
    chunks: list[bytes]


class Flow(Protocol):
    """Where a job's pieces come from; a face whose client reads slowly holds it back."""

    def pause(self) -> None:
        """Take no more bytes from the worker for now."""

    def resume(self) -> None:
        """Go on."""

    def cancel(self, job: Job) -> None:
        """The client of ``job`` has gone: tell the worker."""


class Answer(msgspec.Struct, eq=False):
    """What one job got: a handler's reply, a piece of a stream (``more``), or an error."""

    status: int = 200
    phrase: str = ""
    headers: list[tuple[str, str]] = []
    body: bytes = b""
    more: bool = False
    error: FlambeauError | None = None
    worker: str = ""
    """Name of the worker that gave it; empty when none did."""
    handler_us: int = 0
    """Microseconds the handler took for the batch it was in; 0 for a piece, or when none ran."""


class Job(msgspec.Struct, eq=False):
    """One request: inputs, headers, when it came, and whom to tell the answer.

    ``arrived``, ``taken`` and ``deadline`` are in seconds of ``time.monotonic``.
    """

    request_id: str
    headers: Headers
    parts: list[Part]
    on_answer: Callable[[Job, Answer], None]
    id: int = msgspec.field(default_factory=itertools.count(1).__next__)
    arrived: float = msgspec.field(default_factory=monotonic)
    model: tuple[str, str] = NO_MODEL
    """Name and version it was accepted for."""
    taken: float = 0.0
    """When it left the queue in a batch; 0 while it waits."""
    deadline: float = 0.0
    """When its client is to be answered at the latest; 0 for never."""
    alone: bool = False
    """Goes in a batch of its own (describe requests)."""
    version_given: bool = False
    """The client named a version (a label of the request counters)."""
    cancelled: bool = False
    """The client has gone: dropped before it reaches a worker, never answered."""
    answered: bool = False
    streaming: bool = False
    """At least one piece of a stream has been sent."""
    flow: Flow | None = None
    """Who has the job: the dispatcher while it waits, then the feed of a worker."""

    def answer(self, answer: Answer) -> None:
        """Tell the face, unless the client has gone or was answered already."""
        if self.cancelled or self.answered:
            return
        if answer.more:
            self.streaming = True
        else:
            self.answered = True
            self.parts = []  # nobody needs the inputs any more; the job may be kept for a while
        try:
            self.on_answer(self, answer)
        except Exception:
            logger.exception("request %s: its answer could not be delivered", self.request_id)

    def fail(self, error: FlambeauError) -> None:
        """Answer with ``error``."""
        self.answer(Answer(status=error.status, error=error))

    def cancel(self) -> None:
        """The client has gone. A queued job never reaches a worker; a running one is told."""
        if self.cancelled or self.answered:
            return
        self.cancelled = True
        self.parts = []
        if self.flow is not None:
            self.flow.cancel(self)
