"""The inference service: health, one prediction, a stream of pieces, a conversation of sequences.

The functions name the inputs as the client did and pass them on undecoded; metadata of the call
does not reach the handler, and of the handler's answer only the bytes reach the client.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING

from flambeau.errors import BadRequest
from flambeau.grpc import inference_pb2 as messages
from flambeau.grpc.asking import inputs, pieces, whole
from flambeau.grpc.conversation import Conversation
from flambeau.grpc.rpcs import INFERENCE, Rpc, RpcService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from google.protobuf.empty_pb2 import Empty

    from flambeau.grpc.rpcs import RpcCall

Request = messages.PredictionsRequest
Response = messages.PredictionResponse


async def ping(call: RpcCall, _: Empty) -> messages.TorchServeHealthResponse:
    """Whether every model has the workers it should have; OK either way."""
    status = "Healthy" if call.site.plane.healthy() else "Unhealthy"
    return messages.TorchServeHealthResponse(health=json.dumps({"status": status}, indent=2))


async def predictions(call: RpcCall, request: Request) -> Response:
    """One answer."""
    name = _name(request)
    answer = await whole(call, name, request.model_version, inputs(request.input))
    return Response(prediction=answer)


async def stream_predictions(call: RpcCall, request: Request) -> AsyncGenerator[Response]:
    """One message for each piece, and one for what the handler returned."""
    found = pieces(call, _name(request), request.model_version, inputs(request.input))
    async with aclosing(found):
        async for piece in found:
            yield Response(prediction=piece)


async def stream_predictions_2(
    call: RpcCall, requests: AsyncIterator[Request]
) -> AsyncGenerator[Response]:
    """Answers of all requests of the call, each as soon as it is there."""
    async with aclosing(Conversation(call).answers(requests)) as answers:
        async for answer in answers:
            yield answer


SERVICE = RpcService(
    messages.DESCRIPTOR.services_by_name["InferenceAPIsService"],
    INFERENCE,
    (
        Rpc("Ping", ping),
        Rpc("Predictions", predictions),
        Rpc("StreamPredictions", stream_predictions),
        Rpc("StreamPredictions2", stream_predictions_2),
    ),
)


def _name(request: Request) -> str:
    if not request.model_name:
        raise BadRequest("Parameter model_name is required.")
    return request.model_name
