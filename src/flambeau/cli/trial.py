"""A model in this very process: the worker's own loading and answering, without server or ports.

Used by ``flambeau check``. The handler runs in the main thread, so breakpoints and prints work. The
worker code talks to a socket pair; a thread at the other end collects what it sends.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from flambeau.errors import failure_of
from flambeau.transport import frames
from flambeau.transport.messages import JobHead, Load, PartHead, Replies, ReplyHead, pack_headers
from flambeau.worker.batches import finish
from flambeau.worker.link import ServerLink
from flambeau.worker.loading import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from flambeau.cli.examples import Example
    from flambeau.worker.service import Service

_ANSWER_LIMIT_S = 30.0
"""The answer is in the socket when the handler has returned; this only bounds a broken one."""


@dataclass(slots=True)
class TrialAnswer:
    """What one request got: all its pieces joined."""

    status: int = 200
    content_type: str = ""
    failed: bool = False
    pieces: int = 0
    body: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class TrialAnswers:
    """The answers of one batch and the milliseconds its handler took."""

    answers: list[TrialAnswer]
    handler_ms: float


class Trial:
    """A loaded model, ready to answer."""

    def __init__(
        self, service: Service, link: ServerLink, arrived: queue.SimpleQueue[_Frame | None]
    ) -> None:
        self._service = service
        self._link = link
        self._arrived = arrived
        self._next_id = 0
        self.load_ms = 0.0

    def ask(self, examples: list[Example]) -> TrialAnswers:
        """The answers to ``examples`` as one batch. Whatever the handler raises is an answer too."""
        jobs: list[JobHead] = []
        for example in examples:
            self._next_id += 1
            part = PartHead("body", example.content_type, len(example.body))
            headers = [("Content-Type", example.content_type)]
            jobs.append(
                JobHead(self._next_id, f"check-{self._next_id}", pack_headers(headers), [part])
            )
        answers = {job.id: TrialAnswer() for job in jobs}
        waiting = set(answers)
        handler_us = 0
        going_on = self._service.answer(jobs, [bytearray(example.body) for example in examples])
        finish(self._link, self._service, going_on)
        while waiting:
            frame = self._arrived.get(timeout=_ANSWER_LIMIT_S)
            if frame is None:
                raise ConnectionError("the handler closed the socket of its worker")
            handler_us += frame.replies.handler_us
            for head, blob in zip(frame.replies.replies, frame.blobs, strict=True):
                _add(answers[head.id], head, blob)
                if not head.more:
                    waiting.discard(head.id)
        return TrialAnswers(list(answers.values()), handler_us / 1000)


@contextmanager
def opened(message: Load) -> Iterator[Trial]:
    """A trial of the model that ``message`` describes.

    Raises what the handler raises while it loads. Working directory and import path are put back.
    """
    before, path = Path.cwd(), list(sys.path)
    near, far = socket.socketpair()
    arrived: queue.SimpleQueue[_Frame | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_collect, args=(far, arrived), daemon=True)
    reader.start()
    try:
        started = perf_counter()
        link = ServerLink(near)
        trial = Trial(load(message, link), link, arrived)
        trial.load_ms = (perf_counter() - started) * 1000
        yield trial
    finally:
        near.close()
        reader.join()
        far.close()
        os.chdir(before)
        sys.path[:] = path


@dataclass(frozen=True, slots=True)
class _Frame:
    replies: Replies
    blobs: list[bytes]


def _collect(far: socket.socket, arrived: queue.SimpleQueue[_Frame | None]) -> None:
    with far.makefile("rb") as stream:
        while (frame := _read(stream)) is not None:
            arrived.put(frame)
    arrived.put(None)


def _read(stream: BinaryIO) -> _Frame | None:
    header = stream.read(frames.HEADER_SIZE)
    if len(header) < frames.HEADER_SIZE:
        return None
    kind, metadata, _ = frames.sizes(header)
    message = frames.decode(kind, stream.read(metadata))
    if not isinstance(message, Replies):
        raise frames.ProtocolError(f"a worker sent {type(message).__name__} while it answered")
    return _Frame(message, [stream.read(head.size) for head in message.replies])


def _add(answer: TrialAnswer, head: ReplyHead, blob: bytes) -> None:
    answer.status = head.status
    if head.failure:
        answer.failed = True
        answer.status = failure_of(head.failure, head.status, "").status
    answer.pieces += 1
    answer.body += blob
    for name, value in head.headers:
        if name.lower() == "content-type":
            answer.content_type = value
