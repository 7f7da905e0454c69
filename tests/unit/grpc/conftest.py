"""Real gRPC servers and clients over loopback, in front of a plane whose answers the test gives.

The plane has the signatures of the control plane and none of its workers: jobs wait in ``jobs``
until a test answers them, so that cancellations and slow readers happen when the test says so.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf import message_factory
from msgspec.structs import astuple

from flambeau.control.views import ModelPage, ModelSummary, Outcome, StatusView
from flambeau.errors import ModelNotFound, ModelVersionNotFound
from flambeau.grpc.rpcs import INFERENCE, MANAGEMENT, Place
from flambeau.grpc.server import SERVICES, GrpcServers
from flambeau.jobs.job import Answer
from flambeau.security.gate import Gate

HEADERS = ("ts_request_sequence_id", "ts_request_sequence_start", "ts_request_sequence_end")
LIMIT = 10.0


class Plane:
    """Knows models by name and version; keeps every request and job."""

    def __init__(self):
        self.models = {"echo": ["1.0", "2.0"]}
        self.is_healthy = True
        self.lacks = []
        self.asked = []
        self.jobs = asyncio.Queue()
        self.failure = None

    def healthy(self):
        return self.is_healthy

    def lacking(self):
        return self.lacks

    def ready(self):
        return not self.lacks

    def model_ready(self, name, version=None):
        self._find(name, version)
        return name == "echo"

    def versions(self, name):
        self._find(name, None)
        return self.models[name]

    def submit(self, name, version, job):
        self._find(name, version)
        if self.failure is not None:
            raise self.failure
        job.version_given = version is not None
        self.jobs.put_nowait(job)

    def list_models(self, request):
        self.asked.append(request)
        return ModelPage(next_page_token=None, models=[ModelSummary(n, "u") for n in self.models])

    async def describe(self, request, headers=()):
        return self._outcome(request, "described").view

    async def register(self, request):
        return self._outcome(request, "registered")

    async def scale(self, request):
        return self._outcome(request, "scaled")

    async def unregister(self, request):
        return self._outcome(request, "unregistered")

    async def set_default(self, request):
        return self._outcome(request, "default")

    def _outcome(self, request, text):
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure
        return Outcome(accepted=False, view=StatusView(text))

    def _find(self, name, version):
        if name not in self.models:
            raise ModelNotFound(f"Model not found: {name}")
        if version is not None and version not in self.models[name]:
            raise ModelVersionNotFound(f"Model version: {version} does not exist for model: {name}")

    async def job(self):
        """The next job a client has asked for."""
        return await asyncio.wait_for(self.jobs.get(), LIMIT)


class Flow:
    """Where a job's pieces come from: counts how often it was held back."""

    def __init__(self):
        self.holds = 0
        self.holding = False
        self.cancelled = []

    def pause(self):
        assert not self.holding
        self.holds += 1
        self.holding = True

    def resume(self):
        assert self.holding
        self.holding = False

    def cancel(self, job):
        self.cancelled.append(job)


async def until(condition):
    """Returns once ``condition()`` holds: for what the other end does in its own time."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


class Served:
    """Both APIs on ports of their own, and a channel to each."""

    def __init__(self, plane, gate):
        self.gate = gate
        self.plane = plane
        self.lines = []
        self.servers = GrpcServers(plane, gate, self, HEADERS)

    def add(self, line):
        self.lines.append(astuple(line)[1:8])

    async def open(self, **place):
        self.channels = {}
        self.ports = {}
        for api in (INFERENCE, MANAGEMENT):
            port = await self.servers.open(
                Place(
                    **{"api": api, "host": "127.0.0.1", "port": 0, "largest_request": 9999} | place
                )
            )
            self.ports[api] = port
            self.channels[api] = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    def call(self, method, *, api=None, service=None):
        """The client's stub of a method, which may be called as grpc's own stubs are."""
        for known_api, services in SERVICES.items():
            for each in services:
                described = each.descriptor.methods_by_name.get(method)
                if described is not None and service is None:
                    return self._stub(api or known_api, each.name, described)
        return self._stub(api or INFERENCE, service.full_name, service.methods_by_name[method])

    def _stub(self, api, service, described):
        kind = f"{_arity(described.client_streaming)}_{_arity(described.server_streaming)}"
        return getattr(self.channels[api], kind)(
            f"/{service}/{described.name}",
            message_factory.GetMessageClass(described.input_type).SerializeToString,
            message_factory.GetMessageClass(described.output_type).FromString,
        )

    async def close(self):
        for channel in self.channels.values():
            await channel.close()
        await self.servers.finish(0)


def _arity(streaming):
    return "stream" if streaming else "unary"


@pytest.fixture
async def plane():
    return Plane()


@pytest.fixture
async def serving(plane):
    """``await serving(gate)`` opens both servers; they are closed after the test."""
    opened = []

    async def start(gate=None, **place):
        served = Served(plane, gate or Gate.off(model_api=True))
        await served.open(**place)
        opened.append(served)
        return served

    yield start
    for served in opened:
        await served.close()


@pytest.fixture
async def served(serving):
    return await serving()


@pytest.fixture
def happens():
    return until


@pytest.fixture
def flow():
    return Flow()


@pytest.fixture
def answers():
    """Shorthands: ``answers.last(job, b"x")``, ``answers.piece(job, b"x")``."""
    return SimpleNamespace(
        last=lambda job, body=b"": job.answer(Answer(body=body)),
        piece=lambda job, body=b"": job.answer(Answer(body=body, more=True)),
    )


@pytest.fixture
def failing():
    """``await failing(call)`` gives the error a call ends with."""

    async def ended(call):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(call, LIMIT)
        return caught.value

    return ended
