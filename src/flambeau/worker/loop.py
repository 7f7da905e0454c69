"""The worker: read a frame, act, answer, until told to stop.

``run`` is the whole program of a worker process, called by ``flambeau.worker.__main__`` and by
the template's children. Blocking and single-threaded. It ends when the server says so, or when
the socket ends: no worker outlives its server.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Final

from flambeau.transport.frames import ProtocolError
from flambeau.transport.messages import Kind, Load, Loaded, Ping, Pong
from flambeau.worker.failures import loading_failed
from flambeau.worker.link import LinkLost, ServerLink
from flambeau.worker.loading import load

if TYPE_CHECKING:
    import socket

    from flambeau.worker.service import Service

ENDED: Final = 0
LOAD_FAILED: Final = 1
BROKEN_PROTOCOL: Final = 2

_PREDICT: Final = int(Kind.PREDICT)
_LOAD: Final = int(Kind.LOAD)
_PING: Final = int(Kind.PING)
_STOP: Final = int(Kind.STOP)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def run(connection: socket.socket) -> int:
    """Serve the server at the other end of ``connection``; returns the exit code.

    A handler that calls ``sys.exit`` ends the worker with the code it chose.
    """
    link = ServerLink(connection)
    try:
        service = _loaded(link)
        return LOAD_FAILED if service is None else _serve(link, service)
    except (_Ended, LinkLost):
        return ENDED
    except ProtocolError as error:
        sys.stderr.write(f"the server and this worker do not understand each other: {error}\n")
        return BROKEN_PROTOCOL
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)


class _Ended(Exception):  # noqa: N818 - no error
    """The server asked for the end, or is gone."""


def _serve(link: ServerLink, service: Service) -> int:
    receive = link.receive
    answer = service.answer
    while True:
        frame = receive()
        if frame is None:
            return ENDED
        kind, message, bodies = frame
        if kind == _PREDICT:
            answer(message.jobs, bodies)
        elif kind == _PING:
            _pong(link, message)
        elif kind == _STOP:
            return ENDED
        elif kind == _LOAD:
            raise ProtocolError("the model is loaded already")
        # A Cancel read here comes after the answers it speaks of.


def _loaded(link: ServerLink) -> Service | None:
    """The service, once the server has asked for it; None if it could not be loaded."""
    while True:
        frame = link.receive()
        if frame is None or frame[0] == _STOP:
            raise _Ended
        if frame[0] == _PING:
            _pong(link, frame[1])
        elif frame[0] == _LOAD:
            return _load(link, frame[1])
        else:
            raise ProtocolError(f"{Kind(frame[0]).name} before LOAD")


def _load(link: ServerLink, message: Load) -> Service | None:
    try:
        service = load(message, link)
    except (KeyboardInterrupt, LinkLost):
        raise
    except BaseException as error:  # noqa: BLE001 - user code may raise anything, SystemExit too
        failed = loading_failed(error, message.model_dir)
        sys.stderr.write(failed.traceback)
        sys.stderr.flush()
        link.send(failed)
        return None
    # What has been loaded stays: keep the collector from walking through it again and again.
    gc.collect()
    gc.freeze()
    link.send(Loaded())
    return service


def _pong(link: ServerLink, ping: Ping) -> None:
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - cheaper, and asked every second
        resident = int(statm.read().split()[1]) * _PAGE
    link.send(Pong(ping.token, resident))
