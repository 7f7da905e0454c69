"""grpc.reflection.v1alpha: what a server's services and messages look like. Needs no key.

For tools such as grpcurl, which can then call without a .proto file. It tells what the published
.proto files tell and nothing about any model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpc_reflection.v1alpha import reflection_pb2 as messages
from grpc_reflection.v1alpha.reflection import aio

from flambeau.grpc.rpcs import OPEN, Rpc, RpcService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    from flambeau.grpc.rpcs import RpcCall

    Request = messages.ServerReflectionRequest
    Response = messages.ServerReflectionResponse


def reflection_of(names: Iterable[str]) -> RpcService:
    """The reflection service for a server with the services ``names``."""
    descriptor = messages.DESCRIPTOR.services_by_name["ServerReflection"]
    library: Any = aio.ReflectionServicer([*names, descriptor.full_name])

    async def answers(_: RpcCall, requests: AsyncIterator[Request]) -> AsyncGenerator[Response]:
        """One answer to each question."""
        async for answer in library.ServerReflectionInfo(requests, None):
            yield answer

    return RpcService(descriptor, OPEN, (Rpc("ServerReflectionInfo", answers),))
