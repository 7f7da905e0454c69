"""Server end of the socket to one worker: frames in, frames out.

Replies go straight to ``on_replies`` (set by ``jobs.dispatch``), on the event loop, without a
task. An exception in a reply callback never closes the channel: it is logged, the rest of the
replies is delivered. Everything else is an answer to ``ask``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

from flambeau.errors import WorkerDied
from flambeau.transport.frames import HEADER_SIZE, ProtocolError, decode, frame, head, sizes
from flambeau.transport.messages import Kind, Replies

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from flambeau.transport.messages import Message

logger = logging.getLogger("flambeau.supervision")


class Channel(asyncio.Protocol):
    """One connected worker. ``ended`` completes when the socket is gone, whatever the reason."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_replies: Callable[[Replies, list[bytes]], None] | None = None
        self.heard = 0
        """Grows whenever the worker has sent something."""
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = HEADER_SIZE
        self._questions: dict[int, asyncio.Future[Any]] = {}

    # -- what the rest of the server calls

    def write(self, data: list[bytes]) -> None:
        """Send the bytes of whole frames."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(data)

    def send(self, message: Message, blobs: Sequence[bytes] = ()) -> None:
        """Send one message."""
        whole = [head(message, sum(map(len, blobs))), *blobs] if blobs else [frame(message)]
        Channel.write(self, whole)  # over this socket, where ``write`` may mean several

    async def ask(self, message: Message, *answers: Kind) -> Any:
        """Send ``message`` and wait for the next message of one of the kinds in ``answers``.

        Raises WorkerDied when the socket ends first.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.ended.done():
            raise WorkerDied
        for kind in answers:
            self._questions[kind] = future
        self.send(message)
        try:
            return await future
        finally:
            for kind in answers:
                self._questions.pop(kind, None)

    def pause(self) -> None:
        """Take no more bytes from the worker for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Take bytes again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """End the socket at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        # uvloop's transports are no subclasses of asyncio's, so this is a cast, not a check.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The worker's end is closed, or ours."""
        for future in self._questions.values():
            if not future.done():
                future.set_exception(WorkerDied())
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Collect until a frame is whole, then deliver it; big frames are joined once."""
        self.heard += 1
        if self._pieces:
            self._pieces.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return
            data = b"".join(self._pieces)
            self._pieces = []
        try:
            rest = self._deliver_all(data)
        except ProtocolError:
            logger.exception("worker sent something that is no frame; ending it")
            self.close()
            return
        if rest:
            self._pieces = [rest]
            self._held = len(rest)

    def _deliver_all(self, data: bytes) -> bytes:
        """Deliver every whole frame in ``data``; the bytes behind the last one come back."""
        start, end = 0, len(data)
        while end - start >= HEADER_SIZE:
            kind, metadata, blobs = sizes(data[start : start + HEADER_SIZE])
            body = start + HEADER_SIZE + metadata
            if end < body + blobs:
                self._needed = body + blobs - start
                return data[start:]
            message = decode(kind, data[start + HEADER_SIZE : body])
            start = body + blobs
            self._deliver(message, kind, data, body, start)
        self._needed = HEADER_SIZE
        return data[start:]

    def _deliver(self, message: Any, kind: int, data: bytes, position: int, end: int) -> None:
        if kind == Kind.REPLIES:
            blobs = []
            for reply in message.replies:
                blobs.append(data[position : position + reply.size])
                position += reply.size
            if position != end:
                raise ProtocolError("the replies and their bodies differ in size")
            if self.on_replies is not None:
                try:
                    self.on_replies(message, blobs)
                except Exception:
                    logger.exception("a reply could not be delivered")
            return
        question = self._questions.get(kind)
        if question is not None and not question.done():
            question.set_result(message)


async def connect(sock: socket.socket, make: Callable[[], Channel] = Channel) -> Channel:
    """The channel that ``make`` gives, over any connected socket."""
    sock.setblocking(False)
    connecting = asyncio.ensure_future(
        asyncio.get_running_loop().create_connection(make, sock=sock)
    )
    # Not cancelled midway: event loops do not agree on who then closes the descriptor.
    try:
        _, channel = await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await asyncio.wait({connecting})
        connecting.result()[1].close()
        raise
    return channel
