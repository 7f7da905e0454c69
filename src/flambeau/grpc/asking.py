"""One job for one call: asked, awaited, and cancelled when the client has gone.

``inference`` and its neighbours ask models through here. A call that ends early - cancelled, or
past its deadline - is cancelled by grpc where it waits, and its job with it: a queued one never
reaches a worker, a running one's handler is told. A stream whose reader is slower than the
handler holds the worker back until it has read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from flambeau.jobs.job import NO_HEADERS, Job, Part

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from flambeau.grpc.rpcs import RpcCall
    from flambeau.jobs.job import Answer, Flow

HIGH_WATER = 65536
"""Bytes of one stream that may wait for their reader before the worker is held back."""


def inputs(values: Mapping[str, bytes]) -> list[Part]:
    """The inputs by the client's names. They have no type: handlers get them as bytearrays."""
    return [Part(name, "", [value]) for name, value in values.items()]


async def whole(call: RpcCall, name: str, version: str, parts: list[Part]) -> bytes:
    """What the handler returned; the pieces of one that streams are joined.

    Raises FlambeauError. A blank ``version`` means the default one.
    """
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    pieces: list[bytes] = []

    def answered(_: Job, answer: Answer) -> None:
        if done.done():  # the call was cancelled a moment ago
            return
        if answer.error is not None:
            done.set_exception(answer.error)
            return
        pieces.append(answer.body)
        if not answer.more:
            done.set_result(None)

    job = Job(call.request_id, NO_HEADERS, parts, answered)
    call.site.plane.submit(name, version or None, job)
    try:
        await done
    finally:
        job.cancel()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def pieces(
    call: RpcCall, name: str, version: str, parts: list[Part]
) -> AsyncGenerator[bytes]:
    """What the handler sends, piece by piece, and last what it returned.

    Raises FlambeauError, also after some pieces.
    """
    inbox = Inbox()
    job = Job(call.request_id, NO_HEADERS, parts, inbox.put)
    call.site.plane.submit(name, version or None, job)
    try:
        while (taken := await inbox.take()) is not None:
            _, answer = taken
            if answer.error is not None:
                raise answer.error
            if not answer.more:
                inbox.finish()
            yield answer.body
    finally:
        job.cancel()
        inbox.close()


class Inbox:
    """Answers of one or more jobs, waiting for a client to read them."""

    def __init__(self) -> None:
        self._answers: deque[tuple[Job, Answer]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._finished = False
        self._held: set[Flow] = set()
        """Workers held back."""

    def put(self, job: Job, answer: Answer) -> None:
        """Keep an answer; hold its worker back when the reader is far behind."""
        self._answers.append((job, answer))
        self._bytes += len(answer.body)
        self._changed.set()
        flow = job.flow
        far_behind = answer.more and self._bytes > HIGH_WATER
        if far_behind and flow is not None and flow not in self._held:
            flow.pause()
            self._held.add(flow)

    async def take(self) -> tuple[Job, Answer] | None:
        """The oldest answer, waited for if need be; None once finished and empty."""
        while not self._answers:
            if self._finished:
                return None
            self._changed.clear()
            await self._changed.wait()
        job, answer = self._answers.popleft()
        self._bytes -= len(answer.body)
        if self._held and self._bytes <= HIGH_WATER // 2:
            self.close()
        return job, answer

    def finish(self) -> None:
        """No answer will be put any more."""
        self._finished = True
        self._changed.set()

    def close(self) -> None:
        """Hold nobody back."""
        held, self._held = self._held, set()
        for flow in held:
            flow.resume()
