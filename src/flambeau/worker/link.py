"""The worker's end of the socket to the server: frames in, frames out, cancellations noticed.

Used by ``loop`` (reads, answers), ``streaming`` (pieces) and ``context`` (is_cancelled). Blocking
and single-threaded. Reads go through one large buffer, so that batches the server sent ahead cost
no system call of their own. It never looks inside a body.
"""

from __future__ import annotations

import io
import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from flambeau.transport import frames
from flambeau.transport.messages import Kind

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from flambeau.transport.messages import Message

READ_BUFFER: Final = 256 * 1024
JOIN_LIMIT: Final = 64 * 1024
"""Blobs up to this size are joined into one send; above it copying costs more than a vector."""
VECTOR: Final = 512
"""Most buffers handed to one ``sendmsg``; the kernel takes 1024."""

_PREDICT: Final = int(Kind.PREDICT)
_CANCEL: Final = int(Kind.CANCEL)

Frame = tuple[int, Any, list[bytearray]]
"""Kind, message, and the bodies of a Predict in the order of its parts."""


class LinkLost(ConnectionError):  # noqa: N818 - named like its siblings in errors
    """The server has closed the socket, or died."""


class Link(Protocol):
    """What a handler's batch needs of the way to the server.

    ``ServerLink`` is that of a worker with one call at a time, ``concurrent.SharedLink`` that of
    one with many.
    """

    connection: socket.socket

    def send(self, message: Message, blobs: Sequence[bytes | bytearray] = ()) -> None:
        """Send one frame whole. Raises LinkLost when the server is gone."""

    def is_cancelled(self, job_id: int) -> bool:
        """Whether the client of this job has gone, or the server has; does not wait."""

    def poll(self) -> None:
        """Note the cancellations that have arrived."""


class ServerLink:
    """Reads and writes frames on ``connection``, which stays owned by the caller."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._fd = connection.fileno()
        self._reader = io.BufferedReader(io.FileIO(self._fd, closefd=False), READ_BUFFER)
        self._ahead: deque[Frame] = deque()
        self._cancelled: set[int] = set()
        self._ended = False

    def receive(self) -> Frame | None:
        """The next frame, waiting for it; None when the server has closed the socket.

        Raises ``frames.ProtocolError`` when the bytes are no frame.
        """
        if self._ahead:
            return self._ahead.popleft()
        if self._cancelled:
            self._cancelled.clear()
        return self._read()

    def ahead(self) -> Frame | None:
        """The next frame that has arrived, without waiting; None for none."""
        self.poll()
        return self._ahead.popleft() if self._ahead else None

    @property
    def ended(self) -> bool:
        """The server has closed the socket."""
        return self._ended

    def _read(self) -> Frame | None:
        header = self._reader.read(frames.HEADER_SIZE)
        if len(header) < frames.HEADER_SIZE:
            self._ended = True
            return None
        kind, metadata_size, blob_size = frames.sizes(header)
        metadata = self._reader.read(metadata_size)
        if len(metadata) < metadata_size:
            self._ended = True
            return None
        message = frames.decode(kind, metadata)
        if kind != _PREDICT:
            return (kind, message, []) if not blob_size else self._refuse(kind)
        bodies = []
        for job in message.jobs:
            for part in job.parts:
                body = bytearray(part.size)
                if part.size and not self._fill(body):
                    self._ended = True
                    return None
                bodies.append(body)
        return kind, message, bodies

    def _fill(self, body: bytearray) -> bool:
        """Fill ``body`` from the socket; False when the server closed in the middle."""
        count = self._reader.readinto(body)
        if count == len(body):
            return True
        rest = memoryview(body)[count:]
        while rest and count:
            count = self._reader.readinto(rest)
            rest = rest[count:]
        return not rest

    @staticmethod
    def _refuse(kind: int) -> Frame:
        raise frames.ProtocolError(f"a {Kind(kind).name} frame carries no blobs")

    def send(self, message: Message, blobs: Sequence[bytes | bytearray] = ()) -> None:
        """Send one frame whole. Raises LinkLost when the server is gone."""
        size = sum(map(len, blobs))
        head = frames.head(message, size)
        try:
            if size <= JOIN_LIMIT:
                self.connection.sendall(b"".join((head, *blobs)))
            else:
                self._send_vector([head, *blobs])
        except OSError as error:
            self._ended = True
            raise LinkLost(f"the server is gone: {error}") from error

    def _send_vector(self, blobs: list[bytes | bytearray]) -> None:
        left = deque(memoryview(blob) for blob in blobs if blob)
        while left:
            vector = [left[i] for i in range(min(len(left), VECTOR))]
            sent = self.connection.sendmsg(vector)
            while left and sent >= len(left[0]):
                sent -= len(left.popleft())
            if sent:
                left[0] = left[0][sent:]

    def is_cancelled(self, job_id: int) -> bool:
        """Whether the client of this job has gone, or the server has; does not wait."""
        self.poll()
        return self._ended or job_id in self._cancelled

    def cancelled(self, job_ids: list[int]) -> set[int]:
        """Those of the jobs whose clients have gone, after one look at the socket for all."""
        self.poll()
        return self._cancelled.intersection(job_ids) if self._cancelled else set()

    def poll(self) -> None:
        """Note every Cancel that has arrived; other frames are kept for ``receive``."""
        while not self._ended and self._something_waits():
            frame = self._read()
            if frame is None:
                return
            if frame[0] == _CANCEL:
                self._cancelled.update(frame[1].ids)
            else:
                self._ahead.append(frame)

    def _something_waits(self) -> bool:
        # peek() answers from the buffer if it can and asks the socket once if not; the socket
        # must not block for that one question.
        os.set_blocking(self._fd, False)
        try:
            waiting = self._reader.peek(1)
        finally:
            os.set_blocking(self._fd, True)
        return bool(waiting)
