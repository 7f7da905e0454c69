"""Answers calls: the gate before, the function, the error after, a line in the log.

``server`` gives one ``Calls`` to each listening server. Every row of every table runs through the
three wrappers below, so that no function of this face checks a key or spells an error itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import uuid4

import grpc
from google.protobuf import message_factory

from flambeau.errors import FlambeauError, MethodNotAllowed
from flambeau.grpc.rpcs import RpcCall
from flambeau.grpc.status import code_of, shown, text_of
from flambeau.logs.access import AccessLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flambeau.grpc.rpcs import Rpc, RpcService, RpcSite

    Context = grpc.aio.ServicerContext[Any, Any]

logger = logging.getLogger("flambeau.grpc")

REQUEST_ID = "x-request-id"
ENDS = (Exception, asyncio.CancelledError, GeneratorExit)
"""How a function may end early: all are logged, and what is an error is spelled for the client."""
API_OFF = "Model API disabled"
"""The contract's sentence; clients match on it."""


class Calls(grpc.GenericRpcHandler):
    """Finds the row of a method by its full name."""

    def __init__(self, services: Sequence[RpcService], site: RpcSite) -> None:
        self._handlers = {
            f"/{service.name}/{rpc.name}": _Answering(service, rpc, site).handler()
            for service in services
            for rpc in service.rpcs
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of the method; one that says there is none for any other."""
        return self._handlers.get(details.method) or _unknown(details.method)


class _Answering:
    """Runs one row for every call of its method."""

    def __init__(self, service: RpcService, rpc: Rpc, site: RpcSite) -> None:
        self._rpc = rpc
        self._key = service.key
        self._site = site
        self._target = f"/{service.name}/{rpc.name}".encode()
        self._method = service.descriptor.methods_by_name[rpc.name]

    def handler(self) -> grpc.RpcMethodHandler[Any, Any]:
        """What grpc calls, with the types of the method."""
        method = self._method
        read = message_factory.GetMessageClass(method.input_type).FromString
        write = message_factory.GetMessageClass(method.output_type).SerializeToString
        if not method.server_streaming:
            return grpc.unary_unary_rpc_method_handler(self._answer, read, write)
        if not method.client_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream, read, write)
        return grpc.stream_stream_rpc_method_handler(self._stream, read, write)

    async def _answer(self, request: Any, context: Context) -> Any:
        """One request, one answer."""
        noted = _Noted(self._site, self._target, context)
        try:
            call = self._admitted(noted, request)
            response = await self._rpc.function(call, request)
        except ENDS as error:
            await noted.fail(error)
            raise
        noted.line(0)
        return response

    async def _stream(self, request: Any, context: Context) -> AsyncIterator[Any]:
        """Any number of answers to one request, or to many.

        Of many, ``request`` iterates over them, and the function asks the gate again for each
        model it meets.
        """
        noted = _Noted(self._site, self._target, context)
        try:
            call = self._admitted(noted, request)
            async with contextlib.aclosing(self._rpc.function(call, request)) as answers:
                async for answer in answers:
                    noted.line(0)
                    yield answer
        except ENDS as error:
            await noted.fail(error)
            raise
        noted.line(0)

    def _admitted(self, noted: _Noted, request: Any) -> RpcCall:
        """The call, once a key has opened it. Raises InvalidKey or MethodNotAllowed."""
        call = RpcCall(self._site, noted.request_id, noted.authorization())
        call.check(self._key, _model(request), write=self._rpc.writes)
        if self._rpc.changes_models and not self._site.gate.model_api:
            raise MethodNotAllowed(API_OFF)
        return call


class _Noted:
    """One call as the log and the client's status see it."""

    __slots__ = ("_began", "_context", "_site", "_target", "_written", "request_id")

    def __init__(self, site: RpcSite, target: bytes, context: Context) -> None:
        self._began = monotonic()
        self._site = site
        self._target = target
        self._context = context
        self._written = False
        self.request_id = str(uuid4())
        context.set_trailing_metadata(((REQUEST_ID, self.request_id),))

    def authorization(self) -> bytes | None:
        """The value of the authorization metadata."""
        if self._site.gate.tokens is None:
            return None
        for key, value in self._context.invocation_metadata() or ():
            if key == "authorization":
                return value if isinstance(value, bytes) else value.encode()
        return None

    async def fail(self, error: BaseException) -> None:
        """End the call with the status of ``error``; does nothing for a call that is over."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            left = self._context.time_remaining()
            late = left is not None and left <= 0
            code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            self.line(code.value[0])
            return
        if not isinstance(error, FlambeauError):
            logger.error(
                "unexpected error request_id=%s method=%s",
                self.request_id,
                self._target.decode(),
                exc_info=error,
            )
        seen = shown(error)
        code = code_of(seen)
        self.line(code.value[0])
        await self._context.abort(code, text_of(seen))

    def line(self, status: int) -> None:
        """Log the call, the first time only: a stream is logged at its first piece."""
        if self._written:
            return
        self._written = True
        ms = int((monotonic() - self._began) * 1000)
        peer = peer_name(self._context.peer())
        line = AccessLine(time(), peer, b"gRPC", self._target, "2.0", status, ms, self.request_id)
        self._site.access_log.add(line)


def peer_name(peer: str) -> str:
    """``ipv4:127.0.0.1:5`` as the access log spells clients: ``/127.0.0.1:5``."""
    kind, _, place = peer.partition(":")
    return f"/{unquote(place)}" if kind in {"ipv4", "ipv6"} else "127.0.0.1"


def _model(request: Any) -> str:
    """The model a request names; blank for none."""
    name: str = getattr(request, "model_name", "") or getattr(request, "name", "")
    return name


def _unknown(method: str) -> grpc.RpcMethodHandler[Any, Any]:
    async def refuse(_: AsyncIterator[bytes], context: Context) -> None:
        text = f"Method not found: {method.removeprefix('/')}"
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    return grpc.stream_stream_rpc_method_handler(refuse)
