"""A plain grpcio client of a live server; nothing of ours but the messages."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Self

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2

from flambeau.grpc import inference_pb2, management_pb2

if TYPE_CHECKING:
    from tests.running import LiveServer

PACKAGE = "org.pytorch.serve.grpc"
MANAGEMENT = f"/{PACKAGE}.management.ManagementAPIsService/"
INFERENCE = f"/{PACKAGE}.inference.InferenceAPIsService/"
LIMIT = 30.0


class Client:
    """Calls as a user of the original's generated stubs writes them. Use as a context manager."""

    def __init__(self, server: LiveServer, key: str = "", roots: bytes = b"") -> None:
        """``roots`` are the certificates to trust; without any the calls are not encrypted."""
        text = (server.folder / "config.properties").read_text()
        ports = dict(re.findall(r"^grpc_(\w+)_port=(\d+)$", text, re.MULTILINE))
        self.channels = [
            _channel(f"127.0.0.1:{ports[api]}", roots) for api in ("inference", "management")
        ]
        self.inference, self.management = self.channels
        self._metadata = [("authorization", f"Bearer {key}")] if key else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self.channels:
            channel.close()

    def manage(self, method: str, **fields: object) -> str:
        """The text of one management call."""
        kind = {"DescribeModel": "DescribeModelRequest", "ListModels": "ListModelsRequest"}
        message = getattr(management_pb2, kind.get(method, f"{method}Request"))
        stub = self.management.unary_unary(
            MANAGEMENT + method,
            message.SerializeToString,
            management_pb2.ManagementResponse.FromString,
        )
        return stub(message(**fields), timeout=LIMIT, metadata=self._metadata).msg

    def describe(self, model: str) -> dict[str, object]:
        """The default version of a model."""
        return json.loads(self.manage("DescribeModel", model_name=model))[0]

    def ping(self) -> str:
        """The text of a health check."""
        stub = self.inference.unary_unary(
            f"{INFERENCE}Ping",
            Empty.SerializeToString,
            inference_pb2.TorchServeHealthResponse.FromString,
        )
        return stub(Empty(), timeout=LIMIT, metadata=self._metadata).health

    def _asking(self, kind: str, method: str):
        return getattr(self.inference, kind)(
            INFERENCE + method,
            inference_pb2.PredictionsRequest.SerializeToString,
            inference_pb2.PredictionResponse.FromString,
        )

    def predict(self, model: str, timeout: float = LIMIT, **inputs: bytes) -> bytes:
        """The answer of one prediction."""
        call = self.start(model, timeout, **inputs)
        return call.result().prediction

    def start(self, model: str, timeout: float = LIMIT, **inputs: bytes) -> grpc.Future:
        """A prediction that is under way."""
        request = inference_pb2.PredictionsRequest(model_name=model, input=inputs)
        stub = self._asking("unary_unary", "Predictions")
        return stub.future(request, timeout=timeout, metadata=self._metadata)

    def stream(self, model: str, **inputs: bytes):
        """A stream of pieces that is under way."""
        request = inference_pb2.PredictionsRequest(model_name=model, input=inputs)
        stub = self._asking("unary_stream", "StreamPredictions")
        return stub(request, timeout=LIMIT, metadata=self._metadata)

    def converse(self, requests):
        """A conversation that is under way."""
        stub = self._asking("stream_stream", "StreamPredictions2")
        return stub(requests, timeout=LIMIT, metadata=self._metadata)

    def health(self, service: str = "") -> int:
        """What the standard health service says."""
        stub = self.inference.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        return stub(health_pb2.HealthCheckRequest(service=service), timeout=LIMIT).status


def _channel(address: str, roots: bytes) -> grpc.Channel:
    if not roots:
        return grpc.insecure_channel(address)
    named = [("grpc.ssl_target_name_override", "localhost")]
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), named)
