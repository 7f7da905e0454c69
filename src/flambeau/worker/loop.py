"""The worker from its first byte to its last: load the model, answer, end.

``run`` is the whole program of a worker process, called by ``flambeau.worker.__main__`` and by
the template's children. Which loop answers is told by the server: ``batches``, ``concurrent`` or
``steps``. It ends when the server says so, or when the socket ends: no worker outlives its server.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Final

from flambeau.transport.frames import ProtocolError
from flambeau.transport.messages import Kind, Load, Loaded, Pong
from flambeau.worker import batches
from flambeau.worker.failures import loading_failed
from flambeau.worker.link import LinkLost, ServerLink
from flambeau.worker.loading import load

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from flambeau.worker.service import Service

ENDED: Final = 0
LOAD_FAILED: Final = 1
BROKEN_PROTOCOL: Final = 2

_LOAD: Final = int(Kind.LOAD)
_PING: Final = int(Kind.PING)
_STOP: Final = int(Kind.STOP)

PLAIN: Final = "batches"
CONCURRENT: Final = "concurrent"


def run(connection: socket.socket) -> int:
    """Serve the server at the other end of ``connection``; returns the exit code.

    A handler that calls ``sys.exit`` ends the worker with the code it chose.
    """
    link = ServerLink(connection)
    try:
        message = _asked(link)
        if message is None:
            return ENDED
        service = _load(link, message)
        if service is None:
            return LOAD_FAILED
        _loop_of(message.mode)(link, service)
    except LinkLost:
        return ENDED
    except ProtocolError as error:
        sys.stderr.write(f"the server and this worker do not understand each other: {error}\n")
        return BROKEN_PROTOCOL
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    return ENDED


def _asked(link: ServerLink) -> Load | None:
    """What the server asks to have loaded; None when it wants the end, or is gone."""
    while True:
        frame = link.receive()
        if frame is None or frame[0] == _STOP:
            return None
        if frame[0] == _PING:
            link.send(Pong())
        elif frame[0] == _LOAD:
            return frame[1]  # type: ignore[no-any-return]  # of that kind
        else:
            raise ProtocolError(f"{Kind(frame[0]).name} before LOAD")


def _load(link: ServerLink, message: Load) -> Service | None:
    try:
        service = load(message, link)
        _check_mode(message.mode, service)
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


def _loop_of(mode: str) -> Callable[[ServerLink, Service], None]:
    """The loop for ``mode``; only workers that run in one of the rarer two pay for its imports."""
    if mode == PLAIN:
        return batches.serve
    if mode == CONCURRENT:
        from flambeau.worker import concurrent  # noqa: PLC0415 - see above

        return concurrent.serve
    from flambeau.worker import steps  # noqa: PLC0415 - see above

    return steps.serve


def _check_mode(mode: str, service: Service) -> None:
    """Raises TypeError when the handler is not made for the loop it is to run in."""
    if mode == CONCURRENT and not service.asynchronous:
        raise TypeError("a concurrent handler (asyncCommunication) must be an async def")
