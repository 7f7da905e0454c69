"""The words of this face: a service is a table of calls, a call is a row with its function.

``inference``, ``management`` and their neighbours hold the tables; ``calls`` runs the rows and
``tools/reference_grpc.py`` prints them. Message types and streaming come from the .proto files,
so that a row says only what those cannot: the function, and what the call needs. Nothing here
imports grpc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from flambeau.control.plane import ControlPlane
    from flambeau.logs.access import AccessLog
    from flambeau.security.gate import Gate
    from flambeau.security.tls import Pair

    Function = Callable[..., Any]

INFERENCE, MANAGEMENT = "inference", "management"
OPEN = ""
"""No key opens these calls: they need none."""


class Description(Protocol):
    """What the .proto file says of a service: a ServiceDescriptor of protobuf."""

    @property
    def full_name(self) -> str:
        """As clients call it."""

    @property
    def methods_by_name(self) -> Mapping[str, Any]:
        """Types and streaming of each method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one API is served, and the bounds its clients are held to."""

    api: str
    host: str
    port: int
    """0: one that the system picks."""
    largest_request: int
    """In bytes; a larger message is answered with RESOURCE_EXHAUSTED."""
    connection_age_ms: int | None = None
    """Longest life of a connection; None: as long as the client likes."""
    connection_grace_ms: int | None = None
    """How long its calls may go on after that; None: as long as they take."""
    pair: Pair | None = None
    """Certificate and key; None: no TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcSite:
    """What the calls of one server work with."""

    plane: ControlPlane
    gate: Gate
    access_log: AccessLog
    sequence_headers: tuple[str, str, str]
    """Header names a handler finds a sequence's id, start and end under."""
    stopping: asyncio.Future[None]
    """Done when the server begins to stop: what would go on for ever ends then."""
    server_version: str = ""


@dataclass(frozen=True, slots=True)
class RpcCall:
    """One call being answered: what its function gets beside the request."""

    site: RpcSite
    request_id: str
    authorization: bytes | None

    def check(self, key: str, model: str, *, write: bool = False) -> None:
        """Let the call pass, or raise InvalidKey. ``model`` is blank when it names none."""
        if key:
            gate = self.site.gate
            gate.check(key, self.authorization, model=model or None, write=write)


@dataclass(frozen=True, slots=True)
class Rpc:
    """One row: a method of the .proto file and the function that answers it.

    The function takes a ``RpcCall`` and the request, or an iterator of requests where the client
    streams; it is a coroutine, or an asynchronous generator where the server streams.
    """

    name: str
    function: Function
    writes: bool = False
    """Changes something: a key that may only read does not open it."""
    changes_models: bool = False
    """Refused while registration over the API is switched off."""


@dataclass(frozen=True, slots=True)
class RpcService:
    """One service: its description, the key that opens it, the rows."""

    descriptor: Description
    key: str
    rpcs: tuple[Rpc, ...]

    @property
    def name(self) -> str:
        """Full name, as clients call it."""
        return self.descriptor.full_name
