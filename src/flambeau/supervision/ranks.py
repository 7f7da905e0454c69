"""One worker that is several processes, as parallel models need: its ranks.

All load the model and all are told to stop. Jobs go to every rank or to the first alone, and only
the first answers. The death of one is the death of the worker: the others would wait for it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from flambeau.supervision.channel import Channel
from flambeau.transport.messages import Cancel, Failed, Load, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flambeau.supervision.process import LocalWorker
    from flambeau.transport.messages import Kind, Message


class RankedChannel(Channel):
    """The channel of rank 0, which speaks for all. ``others`` are those of rank 1, 2 ...

    ``lost`` is the rank whose socket ended first, None while all are there.
    """

    def __init__(self, others: Sequence[Channel], *, jobs_to_all: bool) -> None:
        super().__init__()
        self.lost: int | None = None
        self._others = others
        self._jobs_to_all = jobs_to_all
        for rank, other in enumerate(others, 1):
            other.ended.add_done_callback(partial(self._other_ended, rank))

    def write(self, data: list[bytes]) -> None:
        """Send the frames of jobs."""
        super().write(data)
        if self._jobs_to_all:
            for other in self._others:
                other.write(data)

    def send(self, message: Message, blobs: Sequence[bytes] = ()) -> None:
        """Send one message: a Stop to all, a Cancel to those that have the job."""
        super().send(message, blobs)
        if isinstance(message, Stop) or (isinstance(message, Cancel) and self._jobs_to_all):
            for other in self._others:
                other.send(message, blobs)

    async def ask(self, message: Message, *answers: Kind) -> Any:
        """See Channel. A Load is answered when all have loaded, or by the first that failed."""
        if not isinstance(message, Load):
            return await super().ask(message, *answers)
        asked = [super().ask(message, *answers)]
        asked += [other.ask(message, *answers) for other in self._others]
        ranks = {asyncio.ensure_future(one): rank for rank, one in enumerate(asked)}
        for one in ranks:
            one.add_done_callback(_noticed)
        waiting = set(ranks)
        answer: Any = None
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    answer = one.result()
                    if isinstance(answer, Failed):
                        answer.cause += f" (rank {ranks[one]})"
                        return answer
        finally:  # without awaiting: compiled, the next call would raise what this one did
            for one in ranks:
                one.cancel()
        return answer

    def close(self) -> None:
        """End all sockets at once."""
        super().close()
        for other in self._others:
            other.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Rank 0 is gone, or we have closed its socket."""
        self._lose(0)
        super().connection_lost(exc)

    def _other_ended(self, rank: int, _: asyncio.Future[None]) -> None:
        self._lose(rank)

    def _lose(self, rank: int) -> None:
        if self.lost is None:
            self.lost = rank
            self.close()


def _noticed(asked: asyncio.Future[Any]) -> None:
    """Of several ranks that end one after the other, the first says what happened."""
    if not asked.cancelled():
        asked.exception()


class RankedWorker:
    """The processes of one worker, rank 0 first, and the channel that speaks for them."""

    def __init__(self, channel: RankedChannel, members: Sequence[LocalWorker]) -> None:
        self.channel: Channel = channel
        self._channel = channel
        self._members = members
        self.name = members[0].name
        self.model_dir = members[0].model_dir
        self.pids = [pid for member in members for pid in member.pids]

    @property
    def lost_rank(self) -> int | None:
        """See Worker."""
        return self._channel.lost

    async def died_of_kill(self) -> bool:
        """See Worker: of the rank that ended first."""
        return await self._members[self._channel.lost or 0].died_of_kill()

    async def stop(self, grace: float) -> None:
        """See Worker."""
        await asyncio.gather(*(member.stop(grace) for member in self._members))

    def kill(self) -> None:
        """See Worker."""
        for member in self._members:
            member.kill()

    def resident_bytes(self) -> int:
        """See Worker: of all ranks together."""
        return sum(member.resident_bytes() for member in self._members)
