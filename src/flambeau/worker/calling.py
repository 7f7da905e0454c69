"""A worker that was started away from its server calls it.

It is given the address of the server's door and, on standard input, a token; see
``transport.hello`` for what is said. It talks to nobody that cannot prove to know the token.
"""

from __future__ import annotations

import os
import socket
from time import monotonic
from typing import Final

from flambeau.transport import hello

LIMIT_S: Final = 10.0
"""Until the server has proved itself."""
LONGEST_TOKEN_LINE: Final = 256


class NotConnected(ConnectionError):  # noqa: N818 - named after the situation
    """The server cannot be reached or is not ours; the message says which."""


def call(address: str, token: bytes) -> socket.socket:
    """A blocking connection to the server at ``address`` (HOST:PORT), both ends proved.

    Raises NotConnected.
    """
    host, _, port = address.rpartition(":")
    end = monotonic() + LIMIT_S
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=LIMIT_S)
    except (OSError, ValueError) as error:
        raise NotConnected(f"no server at {address}: {error}") from error
    try:
        _prove(connection, token, end)
        hello.tune(connection)
        connection.settimeout(None)
    except OSError as error:
        connection.close()
        if isinstance(error, NotConnected):
            raise
        raise NotConnected(f"{address} did not let this worker in: {error}") from error
    return connection


def _prove(connection: socket.socket, token: bytes, end: float) -> None:
    offer = _exactly(connection, hello.OFFER, end)
    greeting, theirs = offer[: -hello.NONCE], offer[-hello.NONCE :]
    if greeting != hello.GREETING:
        raise NotConnected("whoever answered is no server for this worker")
    ours = os.urandom(hello.NONCE)
    claim = hello.name_of(token) + ours + hello.proof(token, hello.WORKER, theirs, ours)
    connection.sendall(claim)
    given = _exactly(connection, hello.PROOF, end)
    if not hello.same(given, hello.proof(token, hello.SERVER, theirs, ours)):
        raise NotConnected("the server does not know the token of this worker")


def _exactly(connection: socket.socket, size: int, end: float) -> bytes:
    """The next ``size`` bytes, and none of what follows them."""
    data = b""
    while len(data) < size:
        left = end - monotonic()
        if left <= 0:
            raise NotConnected(f"no proof within {LIMIT_S:g} s")
        connection.settimeout(left)
        piece = connection.recv(size - len(data))
        if not piece:
            raise NotConnected("the server turned this worker away")
        data += piece
    return data


def read_token() -> bytes:
    """The token on standard input, which is empty afterwards: no handler ever reads it.

    Raises NotConnected for anything but a token.
    """
    line = b""
    while len(line) < LONGEST_TOKEN_LINE and not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            break
        line += piece
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        token = bytes.fromhex(line.decode("ascii").strip())
    except ValueError:
        token = b""
    if len(token) != hello.TOKEN:
        raise NotConnected("standard input must hold the token, in hexadecimal digits")
    return token
