"""grpc.health.v1: whether the server, and each of its services, can be used. Needs no key.

For load balancers and kubelets. The answer is worked out when it is asked for, from what the
control plane says: a service is up while every model has the workers it should have and every
start-up model answers (the rule of /readyz), and down from the moment the server begins to stop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from grpc_health.v1 import health_pb2 as messages

from flambeau.errors import UnknownPath
from flambeau.grpc.rpcs import OPEN, Rpc, RpcService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from flambeau.grpc.rpcs import RpcCall

    Request = messages.HealthCheckRequest
    Response = messages.HealthCheckResponse

INTERVAL = 1.0
"""Seconds between two looks for a watching client: health also changes by the mere passing of
time, so there is no event to wait for."""

Status = messages.HealthCheckResponse


def health_of(names: Iterable[str]) -> RpcService:
    """The health service for a server with the services ``names``."""
    known = {"", *names}

    async def check(call: RpcCall, request: Request) -> Response:
        """The state of the server (blank name) or of one service. Raises UnknownService."""
        if request.service not in known:
            raise UnknownService(f"Service not found: {request.service}")
        return _now(call)

    async def watch(call: RpcCall, request: Request) -> AsyncGenerator[Response]:
        """The state now, and again whenever it has changed, until the server stops."""
        stopping = call.site.stopping
        shown = None
        while True:
            last = stopping.done()
            answer = Status(status=Status.SERVICE_UNKNOWN)
            if request.service in known:
                answer = _now(call)
            if answer != shown:
                shown = answer
                yield answer
            if last:
                return
            await asyncio.wait({stopping}, timeout=INTERVAL)

    return RpcService(
        messages.DESCRIPTOR.services_by_name["Health"],
        OPEN,
        (Rpc("Check", check), Rpc("Watch", watch)),
    )


class UnknownService(UnknownPath):
    """The health of a service was asked for that this server does not have."""

    grpc = "NOT_FOUND"


def _now(call: RpcCall) -> Response:
    plane = call.site.plane
    up = plane.healthy() and not plane.lacking() and not call.site.stopping.done()
    return Status(status=Status.SERVING if up else Status.NOT_SERVING)
