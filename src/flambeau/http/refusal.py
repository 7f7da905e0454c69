"""Requests that end inside the protocol: why, and how the application wants that said.

``http.protocol`` finds out that bytes are no request it can serve, or may not become one, and asks
the application for the answer with a ``Refusal``. Numbers, phrases and bodies are the
application's; whether the connection lives on is the protocol's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple


class Why(Enum):
    """What is wrong with a request that never reaches the application."""

    MALFORMED = auto()
    """The bytes are not HTTP, or over the limits of a head."""
    NO_HOST = auto()
    """HTTP/1.1 without a Host header, or with several."""
    OTHER_VERSION = auto()
    """HTTP, but neither 1.0 nor 1.1."""
    SLOW_HEAD = auto()
    SLOW_BODY = auto()
    TOO_LARGE = auto()
    """The body is over its limit."""
    EXPECTATION = auto()
    """The client expects something other than 100-continue."""
    CROWDED = auto()
    """The listener has as many connections as it may."""
    PLAIN = auto()
    """It came without TLS to an address that wants it."""
    APPLICATION_FAILED = auto()
    """The application raised instead of answering."""


class RequestLine(NamedTuple):
    """What a client asked for."""

    method: bytes
    target: bytes
    version: str


UNREAD = RequestLine(b"-", b"-", "-")
"""Stands for a request line that never came, or could not be read."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused request, and all that is known of it."""

    why: Why
    peer: str
    asked: RequestLine
    received: float
    """``time.monotonic`` when its first byte was read, or when its client came."""


class Spelling(NamedTuple):
    """How a refusal is answered; the protocol adds content-length and connection."""

    status: int
    phrase: str
    headers: bytes
    r"""A ready block of ``name: value\r\n`` lines."""
    body: bytes


Refuse = Callable[[Refusal], Spelling]
"""Called once for each refused request."""
