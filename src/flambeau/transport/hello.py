"""How a worker that calls from elsewhere and its server prove themselves to each other.

Both know the worker's token, which never travels: each proves it by an HMAC over what both have
just drawn, so that nothing that was heard once is of use again. Three messages of fixed size, no
more is read of a stranger:

    server  GREETING, its nonce
    worker  name of the token, its nonce, its proof
    server  its proof

Then frames follow. Neither secrecy nor integrity of these: that is what TLS is for.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
from typing import Final

GREETING: Final = b"flambeau worker 1\n"
NONCE: Final = 32
NAME: Final = 16
PROOF: Final = 32
OFFER: Final = len(GREETING) + NONCE
"""Bytes of the first message."""
CLAIM: Final = NAME + NONCE + PROOF
"""Bytes of the second message."""
TOKEN: Final = 32
"""Bytes of a token."""
SERVER: Final = b"server"
WORKER: Final = b"worker"

IDLE_S: Final = 1
PROBES: Final = 3
UNANSWERED_MS: Final = 4000
"""A machine that has vanished is missed after about as long, however busy its worker was."""


def name_of(token: bytes) -> bytes:
    """By which the server finds a token; says nothing about it."""
    return hashlib.sha256(b"name" + token).digest()[:NAME]


def proof(token: bytes, role: bytes, server_nonce: bytes, worker_nonce: bytes) -> bytes:
    """That whoever has ``role`` knows ``token``, for this one conversation."""
    return hmac.digest(token, GREETING + role + server_nonce + worker_nonce, "sha256")


def same(given: bytes, expected: bytes) -> bool:
    """Whether they are equal; takes as long wherever they differ."""
    return hmac.compare_digest(given, expected)


def tune(connection: socket.socket) -> None:
    """Send at once what is written, and notice a machine that has vanished."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, IDLE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
