"""The door for workers that were started elsewhere: they call, and are heard if they were invited.

No socket listens before the first invitation. An invitation is for one caller, once: its token
goes to the worker by whoever starts it (never on a command line) and is forgotten when used. What
is said at the door stands in ``transport.hello``; a stranger gets a few bytes and a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING, Self

from flambeau.errors import WorkerStartFailed
from flambeau.transport import hello

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger("flambeau.supervision")

HELLO_LIMIT = 5.0
"""Seconds in which a caller must prove itself."""
CALL_LIMIT = 60.0
"""Seconds in which an invited worker must call."""
MOST_STRANGERS = 64
"""Callers heard at once; one more, and the one that has taken longest is turned away."""
PAUSE = 0.1
"""Seconds until the next caller is heard when the system has no descriptor left."""


class _TurnedAway(Exception):  # noqa: N818 - no error of ours
    """Why a caller is not let in."""


class Invitation:
    """For one worker. ``address`` (HOST:PORT) and ``token`` (hexadecimal) are what it must get.

    A context: leaving it takes the invitation back.
    """

    def __init__(self, door: Door, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.secret = os.urandom(hello.TOKEN)
        self.token = self.secret.hex()
        self._door = door
        self._taken = self._over = False
        self._came: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    async def caller(self) -> socket.socket:
        """The connection of the worker, once it has called and proved itself.

        Raises WorkerStartFailed when it does not come in time.
        """
        _, waiting = await asyncio.wait({self._came}, timeout=CALL_LIMIT)
        if waiting:
            raise WorkerStartFailed(f"{self.name} did not call within {CALL_LIMIT:g} s")
        self._taken = True
        return self._came.result()

    def answer(self, connection: socket.socket) -> None:
        """The worker is here; too late if the invitation has been taken back meanwhile."""
        if self._over:
            connection.close()
        else:
            self._came.set_result(connection)

    def __enter__(self) -> Self:
        """Nothing to do: it holds since it was made."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nobody may come any more, and who has come in vain is sent away."""
        self._over = True
        self._door.forget(self)
        if self._came.done() and not self._taken:
            self._came.result().close()


class Door:
    """One listening socket at ``host``, an address, and ``port``, where 0 takes any free one."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._where = (host, port)
        self._listener: socket.socket | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._strangers: dict[asyncio.Task[None], None] = {}
        self._invited: dict[bytes, Invitation] = {}

    def invite(self, name: str) -> Invitation:
        """An invitation for the worker ``name``; opens the door if it is closed.

        Raises OSError when the address cannot be listened on.
        """
        if self._listener is None:
            family = socket.AF_INET6 if ":" in self._where[0] else socket.AF_INET
            self._listener = socket.create_server(self._where, family=family)
            self._listener.setblocking(False)
            self._hearing = asyncio.create_task(self._hear(self._listener), name="door")
        host, port = self._listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        invitation = Invitation(self, name, address)
        self._invited[hello.name_of(invitation.secret)] = invitation
        return invitation

    def forget(self, invitation: Invitation) -> None:
        """Its token opens nothing any more."""
        self._invited.pop(hello.name_of(invitation.secret), None)

    async def close(self) -> None:
        """Hear nobody any more."""
        tasks = [*self._strangers, *([self._hearing] if self._hearing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        self._listener = self._hearing = None
        self._invited.clear()

    async def _hear(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                logger.warning("a worker that calls cannot be heard: %s", error)
                await asyncio.sleep(PAUSE)
                continue
            if len(self._strangers) >= MOST_STRANGERS:
                next(iter(self._strangers)).cancel()
            stranger = asyncio.create_task(self._let_in(connection), name="stranger")
            self._strangers[stranger] = None
            stranger.add_done_callback(lambda task: self._strangers.pop(task, None))

    async def _let_in(self, connection: socket.socket) -> None:
        """Hand the connection to the invitation that is meant, or close it."""
        with contextlib.ExitStack() as undo:
            undo.callback(connection.close)
            try:
                connection.setblocking(False)
                invitation = await asyncio.wait_for(self._proven(connection), HELLO_LIMIT)
                hello.tune(connection)
            except (TimeoutError, OSError, _TurnedAway) as error:
                reason = str(error) or f"no proof within {HELLO_LIMIT:g} s"
                logger.warning("a caller was turned away at the door for workers: %s", reason)
                return
            undo.pop_all()
            invitation.answer(connection)

    async def _proven(self, connection: socket.socket) -> Invitation:
        """Whom the caller has proved to be; then the server has proved itself, too."""
        loop = asyncio.get_running_loop()
        ours = os.urandom(hello.NONCE)
        await loop.sock_sendall(connection, hello.GREETING + ours)
        claim = b""
        while len(claim) < hello.CLAIM:
            piece = await loop.sock_recv(connection, hello.CLAIM - len(claim))
            if not piece:
                raise _TurnedAway("it left without a word of proof")
            claim += piece
        name, theirs, given = (
            claim[: hello.NAME],
            claim[hello.NAME : -hello.PROOF],
            claim[-hello.PROOF :],
        )
        invitation = self._invited.get(name)
        if invitation is None:
            raise _TurnedAway("nobody was invited by that token, or it has been used")
        expected = hello.proof(invitation.secret, hello.WORKER, ours, theirs)
        if not hello.same(given, expected):
            raise _TurnedAway(f"it does not know the token of {invitation.name}")
        self.forget(invitation)
        answer = hello.proof(invitation.secret, hello.SERVER, ours, theirs)
        await loop.sock_sendall(connection, answer)
        return invitation
