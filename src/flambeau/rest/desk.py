"""Sends answers, then logs and counts them: where every request of this face ends.

One desk serves all listeners. ``rest.app`` and ``rest.prediction`` hand it whole replies and
errors; the access log and the counters are handed in and only ever told what happened.
"""

from __future__ import annotations

import logging
from time import monotonic, time
from typing import TYPE_CHECKING

from flambeau.errors import FlambeauError
from flambeau.logs.access import AccessLine, Details
from flambeau.rest.refusals import spelled
from flambeau.rest.replies import (
    HeaderBlocks,
    HeaderPairs,
    error_body,
    fresh_id,
    phrase_of,
    shown_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.http.exchange import Exchange
    from flambeau.http.refusal import Refusal, Spelling
    from flambeau.jobs.job import Answer, Job
    from flambeau.logs.access import AccessLog
    from flambeau.metrics.registry import Metrics
    from flambeau.rest.route import Reply

_log = logging.getLogger("flambeau.rest")
ERROR = 400
"""The connection is closed from this status on: clients of the original count on it."""


class Desk:
    """Writes to exchanges; knows the headers all answers share."""

    def __init__(
        self, access_log: AccessLog, count: Metrics, cors: HeaderPairs | None = None
    ) -> None:
        """``cors`` are the Access-Control headers of the settings, in order; None for none."""
        self.blocks = HeaderBlocks(cors or [])
        self._add_line = access_log.add
        self._detailed = access_log.detailed
        self._count = count

    def send(self, exchange: Exchange, request_id: str, reply: Reply) -> None:
        """Answer with a whole reply of the server's own."""
        status = reply.status
        block = self.blocks.standard(request_id, reply.content_type)
        if reply.headers:
            block += "".join(f"{name}: {value}\r\n" for name, value in reply.headers).encode()
        exchange.respond(status, phrase_of(status), block, reply.body, close=status >= ERROR)
        self.note(exchange, status, request_id)

    def fail(  # noqa: PLR0917 - the shape of note
        self,
        exchange: Exchange,
        request_id: str,
        error: BaseException,
        body_of: Callable[[FlambeauError], bytes] = error_body,
        job: Job | None = None,
        answer: Answer | None = None,
    ) -> None:
        """Answer with an error. What is not a FlambeauError is logged and hidden from the client."""
        if not isinstance(error, FlambeauError):
            _log.error(
                "unexpected error request_id=%s method=%s target=%s",
                request_id,
                exchange.method.decode("latin-1"),
                ascii(exchange.target.decode("latin-1")),
                exc_info=error,
            )
        error = shown_error(error)
        block = self.blocks.of_error(request_id, error)
        status = error.status
        exchange.respond(status, phrase_of(status), block, body_of(error), close=True)
        self.note(exchange, status, request_id, job, answer)

    def note(
        self,
        exchange: Exchange,
        status: int,
        request_id: str,
        job: Job | None = None,
        answer: Answer | None = None,
    ) -> None:
        """Log and count one answer; a stream is noted at its first piece."""
        ms = int((monotonic() - exchange.received) * 1000)
        self._add_line(
            AccessLine(
                time(),
                exchange.peer,
                exchange.method,
                exchange.target,
                exchange.http_version,
                status,
                ms,
                request_id,
                _details(job, answer) if self._detailed and job is not None else None,
            )
        )
        self._count.requests(status)

    def refuse(self, refusal: Refusal) -> Spelling:
        """Log and count what never became an exchange; how the protocol is to answer it."""
        request_id = fresh_id()
        spelling = spelled(refusal.why, self.blocks, request_id)
        ms = int((monotonic() - refusal.received) * 1000)
        line = AccessLine(time(), refusal.peer, *refusal.asked, spelling.status, ms, request_id)
        self._add_line(line)
        self._count.requests(spelling.status)
        return spelling


def _details(job: Job, answer: Answer | None) -> Details:
    """Where a job has been, and how long."""
    name, version = job.model
    queue_ms = round((job.taken - job.arrived) * 1000, 3) if job.taken else None
    if answer is None:
        return Details(name, version, "", queue_ms)
    return Details(name, version, answer.worker, queue_ms, answer.handler_us / 1000 or None)
