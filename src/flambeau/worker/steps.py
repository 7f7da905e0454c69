"""The loop of a worker whose handler works in steps: one call with all jobs in hand, again and again.

For handlers that give one piece per call (one token each), with stopping criteria that say which
jobs go on. New jobs join at the next step, done ones leave, and one frame of replies goes out per
step. Blocking and single-threaded; it waits for the server only while it has nothing in hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flambeau.transport.frames import ProtocolError
from flambeau.transport.messages import Kind, Pong
from flambeau.worker.batches import wanted

if TYPE_CHECKING:
    from flambeau.transport.messages import JobHead
    from flambeau.worker.link import Frame, ServerLink
    from flambeau.worker.service import Service

_PREDICT: Final = int(Kind.PREDICT)
_PING: Final = int(Kind.PING)
_STOP: Final = int(Kind.STOP)
_CANCEL: Final = int(Kind.CANCEL)


def serve(link: ServerLink, service: Service) -> None:
    """Answer jobs until the server says stop and none is in hand, or it is gone.

    Raises LinkLost, ProtocolError.
    """
    active: list[JobHead] = []
    hand = _Newcomers(link)
    while active or not hand.stopping:
        frame = link.ahead() if active else link.receive()
        if frame is None and not active:
            return
        while frame is not None:
            hand.take(frame)
            frame = link.ahead()
        active = wanted(link, active) if active else active
        jobs = [*active, *hand.jobs]
        if jobs:
            active = service.answer(jobs, hand.bodies, len(active))
        hand.jobs, hand.bodies = [], []


class _Newcomers:
    """Jobs that join at the next step, and whether the server has said stop."""

    def __init__(self, link: ServerLink) -> None:
        self.jobs: list[JobHead] = []
        self.bodies: list[bytearray] = []
        self.stopping = False
        self._link = link

    def take(self, frame: Frame) -> None:
        kind, message, bodies = frame
        if kind == _PREDICT:
            self.jobs += message.jobs
            self.bodies += bodies
        elif kind == _PING:
            self._link.send(Pong())
        elif kind == _STOP:
            self.stopping = True
        elif kind != _CANCEL:  # one that comes while nothing is in hand is late
            raise ProtocolError(f"{Kind(kind).name} after the model was loaded")
