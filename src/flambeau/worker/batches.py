"""The plain loop of a worker: one batch after the other, in the order they came.

Blocking and single-threaded. The server may send batches ahead; they wait in the socket. A job
whose stopping criterion says "go on" is handed to the handler again, with the others of its batch
that do, until none is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flambeau.transport.frames import ProtocolError
from flambeau.transport.messages import Kind, Pong, Replies
from flambeau.worker.link import LinkLost
from flambeau.worker.results import nothing

if TYPE_CHECKING:
    from flambeau.transport.messages import JobHead
    from flambeau.worker.link import ServerLink
    from flambeau.worker.service import Service

_PREDICT: Final = int(Kind.PREDICT)
_PING: Final = int(Kind.PING)
_STOP: Final = int(Kind.STOP)
_CANCEL: Final = int(Kind.CANCEL)
_NO_BODIES: Final[list[bytearray]] = []


def serve(link: ServerLink, service: Service) -> None:
    """Answer batches until the server says stop, or is gone. Raises LinkLost, ProtocolError."""
    receive = link.receive
    answer = service.answer
    while True:
        frame = receive()
        if frame is None:
            return
        kind, message, bodies = frame
        if kind == _PREDICT:
            going_on = answer(message.jobs, bodies)
            if going_on:
                finish(link, service, going_on)
        elif kind == _PING:
            link.send(Pong())
        elif kind == _STOP:
            return
        elif kind != _CANCEL:  # one read here comes after the answers it speaks of
            raise ProtocolError(f"{Kind(kind).name} after the model was loaded")


def finish(link: ServerLink, service: Service, jobs: list[JobHead]) -> None:
    """Call the handler with ``jobs`` for as long as their stopping criteria say so."""
    while jobs:
        jobs = wanted(link, jobs)
        if jobs:
            jobs = service.answer(jobs, _NO_BODIES, len(jobs))


def wanted(link: ServerLink, jobs: list[JobHead]) -> list[JobHead]:
    """Those of ``jobs`` whose clients are still there; the others are done.

    Raises LinkLost when the server is gone.
    """
    gone = link.cancelled([job.id for job in jobs])
    if link.ended:
        raise LinkLost("the server is gone")
    if not gone:
        return jobs
    link.send(Replies([nothing(job) for job in jobs if job.id in gone]))
    return [job for job in jobs if job.id not in gone]
