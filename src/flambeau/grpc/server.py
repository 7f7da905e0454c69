"""Listening gRPC servers: which services stand on which port, how they open and how they stop.

``flambeau.server`` opens one for inference and one for management, and imports this module only
then: grpc costs a tenth of a second and some 20 MB. A further service is a row in ``SERVICES``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc

from flambeau.grpc import inference, kserve, management
from flambeau.grpc.calls import Calls
from flambeau.grpc.health import health_of
from flambeau.grpc.reflection import reflection_of
from flambeau.grpc.rpcs import INFERENCE, MANAGEMENT, RpcSite

if TYPE_CHECKING:
    from flambeau.control.plane import ControlPlane
    from flambeau.grpc.rpcs import Place
    from flambeau.logs.access import AccessLog
    from flambeau.security.gate import Gate

logger = logging.getLogger("flambeau.grpc")

SERVICES = {
    INFERENCE: (inference.SERVICE, kserve.SERVICE, kserve.TORCHSERVE),
    MANAGEMENT: (management.SERVICE,),
}
"""The services of each API. Health and reflection stand on both ports."""


class GrpcServers:
    """The servers of one process. ``open`` them, then ``close``, then await ``finish``."""

    def __init__(
        self,
        plane: ControlPlane,
        gate: Gate,
        access_log: AccessLog,
        sequence_headers: tuple[str, str, str],
        server_version: str = "",
    ) -> None:
        self._site = RpcSite(
            plane=plane,
            gate=gate,
            access_log=access_log,
            sequence_headers=sequence_headers,
            stopping=asyncio.get_running_loop().create_future(),
            server_version=server_version,
        )
        self._servers: list[grpc.aio.Server] = []
        self._closing: list[asyncio.Task[None]] = []

    async def open(self, place: Place) -> int:
        """Listen on ``place``; the port. Raises OSError, naming the address."""
        services = SERVICES[place.api]
        names = [service.name for service in services]
        health = health_of(names)
        about = (health, reflection_of([*names, health.name]))
        server = grpc.aio.server(
            handlers=[Calls([*services, *about], self._site)], options=_options(place)
        )
        port = _bind(server, place)
        await server.start()
        self._servers.append(server)
        logger.info("%s API (gRPC) listens on %s", place.api, _address(place.host, port))
        return port

    def close(self, grace: float) -> None:
        """Take no new calls. Running ones may take ``grace`` seconds; returns at once."""
        if not self._site.stopping.done():
            self._site.stopping.set_result(None)
        self._closing += [asyncio.ensure_future(server.stop(grace)) for server in self._servers]

    async def finish(self, grace: float) -> None:
        """End what still runs after ``grace`` seconds; returns when no call is left."""
        self.close(grace)
        await asyncio.gather(*self._closing)


def _options(place: Place) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", 0),  # or a second server would silently share the port
        ("grpc.max_receive_message_length", place.largest_request),
        # Workers hold the answers of handlers to max_response_size already.
        ("grpc.max_send_message_length", -1),
    ]
    if place.connection_age_ms is not None:
        options.append(("grpc.max_connection_age_ms", place.connection_age_ms))
    if place.connection_grace_ms is not None:
        options.append(("grpc.max_connection_age_grace_ms", place.connection_grace_ms))
    return options


def _bind(server: grpc.aio.Server, place: Place) -> int:
    address = _address(place.host, place.port)
    try:
        if place.pair is None:
            return server.add_insecure_port(address)
        credentials = grpc.ssl_server_credentials([(place.pair.key, place.pair.certificate)])
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(
            f"Failed to bind to address: {address} (gRPC; set grpc_{place.api}_address and "
            f"grpc_{place.api}_port)"
        ) from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
