"""The Open Inference Protocol: server and model health, metadata, inference, a stream of them.

Stands under two names with the same messages: ``inference``, which KServe and Triton clients
call, and TorchServe's own package. A handler gets its request as JSON, whatever way the values
travelled; what it returns becomes a response by the rules of ``tensors.answers``.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from flambeau.errors import BadRequest, FlambeauError, HandlerFailed, ShuttingDown
from flambeau.grpc import open_inference_pb2 as messages
from flambeau.grpc import torchserve_open_inference_pb2
from flambeau.grpc.asking import pieces, whole
from flambeau.grpc.kserve_tensors import asked, document, message, quoted, spelled
from flambeau.grpc.rpcs import INFERENCE, Rpc, RpcService
from flambeau.jobs.job import Part
from flambeau.tensors.answers import Answered, AnswerError, NoSuchOutput
from flambeau.tensors.datatypes import TensorError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from flambeau.grpc.kserve_tensors import Spelling
    from flambeau.grpc.rpcs import RpcCall

    Request = messages.ModelInferRequest
    Response = messages.ModelInferResponse

NAME = "Torchserve"
EXTENSIONS = ("kserve", "kubeflow")


async def server_live(_: RpcCall, __: messages.ServerLiveRequest) -> messages.ServerLiveResponse:
    """The server answers, so it lives."""
    return messages.ServerLiveResponse(live=True)


async def server_ready(
    call: RpcCall, _: messages.ServerReadyRequest
) -> messages.ServerReadyResponse:
    """Whether every start-up model has a worker that answers."""
    return messages.ServerReadyResponse(ready=call.site.plane.ready())


async def server_metadata(
    call: RpcCall, _: messages.ServerMetadataRequest
) -> messages.ServerMetadataResponse:
    """Name, version and extensions of the server."""
    return messages.ServerMetadataResponse(
        name=NAME, version=call.site.server_version, extensions=EXTENSIONS
    )


async def model_ready(
    call: RpcCall, request: messages.ModelReadyRequest
) -> messages.ModelReadyResponse:
    """Whether a version has a loaded worker. Raises BadRequest, ModelNotFound, ModelVersionNotFound."""
    if not request.name:
        raise BadRequest("Parameter name is required.")
    ready = call.site.plane.model_ready(request.name, request.version or None)
    return messages.ModelReadyResponse(ready=ready)


async def model_metadata(
    call: RpcCall, request: messages.ModelMetadataRequest
) -> messages.ModelMetadataResponse:
    """The versions of a model. Archives tell nothing of tensors.

    Raises BadRequest, ModelNotFound, ModelVersionNotFound.
    """
    name, plane = _named(request.name), call.site.plane
    versions = plane.versions(name)
    if request.version:
        plane.model_ready(name, request.version)
        versions = [request.version]
    return messages.ModelMetadataResponse(name=name, versions=versions)


async def model_infer(call: RpcCall, request: Request) -> Response:
    """One inference."""
    return await _infer(call, request, spelled)


async def model_infer_quoted(call: RpcCall, request: Request) -> Response:
    """One inference, with BYTES spelled as TorchServe does."""
    return await _infer(call, request, quoted)


async def model_stream_infer(
    call: RpcCall, requests: AsyncIterator[Request]
) -> AsyncGenerator[messages.ModelStreamInferResponse]:
    """The responses to all requests of the call, in order; an error ends none but its request."""
    while (request := await _next(requests, call.site.stopping)) is not None:
        try:
            call.check(INFERENCE, request.model_name)
            answered, parts = _prepared(call, request)
            found = pieces(call, answered.model_name, request.model_version, parts)
            async with aclosing(found):
                async for piece in found:
                    response = _response(answered, request, piece, spelled)
                    yield messages.ModelStreamInferResponse(infer_response=response)
        except FlambeauError as error:
            yield messages.ModelStreamInferResponse(error_message=error.message)


async def _next(requests: AsyncIterator[Request], stopping: asyncio.Future[None]) -> Request | None:
    """The next request; None after the last. Raises ShuttingDown when the server stops first."""
    coming = asyncio.ensure_future(anext(requests, None))
    try:
        await asyncio.wait((coming, stopping), return_when=asyncio.FIRST_COMPLETED)
        if coming.done():
            return coming.result()
    finally:
        coming.cancel()
    raise ShuttingDown("The server is stopping.")


async def _infer(call: RpcCall, request: Request, spell: Spelling) -> Response:
    answered, parts = _prepared(call, request)
    body = await whole(call, answered.model_name, request.model_version, parts)
    return _response(answered, request, body, spell)


def _prepared(call: RpcCall, request: Request) -> tuple[Answered, list[Part]]:
    """Who is to answer, and what the handler gets.

    Raises BadRequest, ModelNotFound.
    """
    name = _named(request.model_name)
    version = request.model_version or call.site.plane.versions(name)[0]
    try:
        text = document(request)
    except TensorError as error:
        raise BadRequest(f"The request cannot be read: {error}.") from error
    return Answered(name, version, call.request_id), [Part("body", "application/json", [text])]


def _response(answered: Answered, request: Request, body: bytes, spell: Spelling) -> Response:
    """The handler's answer as a message.

    Raises HandlerFailed when it is no usable response, BadRequest when an output is missing.
    """
    wanted = asked(request)
    try:
        return message(answered.response(body, wanted), raw=wanted.binary, spell=spell)
    except NoSuchOutput as error:
        raise BadRequest(str(error)) from error
    except AnswerError as error:
        raise HandlerFailed(f"The handler's answer is no v2 response: {error}") from error


def _named(name: str) -> str:
    if not name:
        raise BadRequest("Parameter model_name is required.")
    return name


_ABOUT = (
    Rpc("ServerLive", server_live),
    Rpc("ServerReady", server_ready),
    Rpc("ServerMetadata", server_metadata),
    Rpc("ModelReady", model_ready),
    Rpc("ModelMetadata", model_metadata),
)
SERVICE = RpcService(
    messages.DESCRIPTOR.services_by_name["GRPCInferenceService"],
    INFERENCE,
    (*_ABOUT, Rpc("ModelInfer", model_infer), Rpc("ModelStreamInfer", model_stream_infer)),
)
TORCHSERVE = RpcService(
    torchserve_open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
    INFERENCE,
    (*_ABOUT, Rpc("ModelInfer", model_infer_quoted)),
)
