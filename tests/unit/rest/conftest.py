"""A REST listener in memory: real exchanges over a recording transport, and a small plane.

The plane keeps models in a dict and answers jobs through a function the test sets. It has the
signatures of the control plane and none of its workers; every byte sent to the client is kept.
"""

from __future__ import annotations

import asyncio
import json
from time import monotonic

import pytest
from msgspec.structs import astuple

from flambeau.control.requests import DescribeModel, RegisterModel
from flambeau.control.views import (
    JobQueueView,
    ModelDescription,
    ModelPage,
    ModelSummary,
    Outcome,
    StatusView,
)
from flambeau.errors import ModelNotFound, ModelVersionNotFound
from flambeau.http.exchange import Exchange
from flambeau.http.head import parse
from flambeau.http.limits import Limits
from flambeau.jobs.job import Answer
from flambeau.rest.app import RestApp
from flambeau.rest.desk import Desk
from flambeau.rest.endpoints import elsewhere, served
from flambeau.rest.route import Api, Site, When
from flambeau.security.gate import Gate


class Response:
    """What the client read, taken apart."""

    def __init__(self, raw):
        head, _, self.rest = raw.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        _, status, self.reason = line.decode("latin-1").split(" ", 2)
        self.status = int(status)
        self.pairs = [tuple(f.decode("latin-1").split(": ", 1)) for f in fields]
        self.headers = {name.lower(): value for name, value in self.pairs}
        self.body = self.rest

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def chunks(self):
        found, rest = [], self.rest
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            found.append(rest[:length])
            rest = rest[length + 2 :]
        return found


class Wire:
    """The connection and the transport of one exchange."""

    def __init__(self):
        self.peer = "/127.0.0.1:5"
        self.raw = b""
        self.sent = 0
        self.draining = False
        self.closed = None
        self.aborted = False
        self.writable = True
        self.room = None

    @property
    def response(self):
        return Response(self.raw)

    def write(self, data):
        self.raw += data

    def writelines(self, pieces):
        self.raw += b"".join(pieces)

    def abort(self):
        self.aborted = True

    def post(self, answer):
        self.write(answer)
        self.answered(close=False)

    def answered(self, *, close):
        self.closed = close

    def drained(self):
        self.room = asyncio.get_running_loop().create_future()
        return self.room


class Plane:
    """Models in a dict; ``answer`` says what a job gets."""

    def __init__(self):
        self.models = {"echo": {"1.0": "echo.mar", "2.0": "echo_v2.mar"}}
        self.asked = []
        self.jobs = []
        self.inputs = []
        """Of each job, as it was submitted: an answered job lets go of them."""
        self.startup = None
        self.health = True
        self.lacks = []
        self.answer = lambda _: Answer(body=b"ok")
        self.refusal = None

    def submit(self, name, version, job):
        self._find(name, version)
        if self.refusal is not None:
            raise self.refusal
        self.jobs.append(job)
        self.inputs.append([(p.name, p.content_type, b"".join(p.chunks)) for p in job.parts])
        answer = self.answer(job)
        if answer is not None:
            job.answer(answer)

    def healthy(self):
        return self.health

    def lacking(self):
        return self.lacks

    def ready(self):
        return not self.lacks

    def model_ready(self, name, version=None):
        self._find(name, version)
        return name == "echo"

    def names(self):
        return sorted(self.models)

    def versions(self, name):
        self._find(name, None)
        return list(self.models[name])

    def sole_startup_model(self):
        return self.startup

    def list_models(self, request):
        self.asked.append(request)
        return ModelPage(
            next_page_token=None,
            models=[ModelSummary(name, next(iter(v.values()))) for name, v in self.models.items()],
        )

    async def describe(self, request: DescribeModel, headers=()):
        self.asked.append(request)
        self.headers = headers
        self._find(request.model_name, request.model_version)
        return [description(request.model_name, request.model_version or "1.0")]

    async def register(self, request: RegisterModel):
        self.asked.append(request)
        return Outcome(accepted=not request.synchronous, view=StatusView("registered"))

    async def scale(self, request):
        self.asked.append(request)
        return Outcome(accepted=not request.synchronous, view=StatusView("scaled"))

    async def unregister(self, request):
        self.asked.append(request)
        return Outcome(accepted=False, view=StatusView("unregistered"))

    async def set_default(self, request):
        self.asked.append(request)
        return Outcome(accepted=False, view=StatusView("default"))

    def _find(self, name, version):
        if name not in self.models:
            raise ModelNotFound(f"Model not found: {name}")
        if version is not None and version not in self.models[name]:
            raise ModelVersionNotFound(f"Model version: {version} does not exist for model: {name}")


def description(name, version):
    """One version without workers."""
    return ModelDescription(
        modelName=name,
        modelVersion=version,
        runtime="python",
        minWorkers=0,
        maxWorkers=0,
        batchSize=1,
        maxBatchDelay=100,
        responseTimeout=120,
        startupTimeout=120,
        maxRetryTimeoutInSec=300,
        clientTimeoutInMills=0,
        parallelType="",
        parallelLevel=0,
        deviceType="cpu",
        continuousBatching=False,
        useJobTicket=False,
        useVenv=False,
        stateful=False,
        sequenceMaxIdleMSec=0,
        sequenceTimeoutMSec=0,
        maxNumSequence=0,
        maxSequenceJobQueueSize=0,
        loadedAtStartup=False,
        workers=[],
        jobQueueStatus=JobQueueView(100, 0),
    )


class Listener:
    """Sends requests to one app and reads what comes back."""

    def __init__(self, plane, apis, gate=None, cors=None, conditions=(), **options):
        self.plane = plane
        self.lines = []
        self.counts = []
        gate = self.gate = gate or Gate.off(model_api=True)
        if gate.tokens is not None:
            conditions = [*conditions, When.TOKENS]
        site = Site(
            plane,
            served(apis, conditions),
            frozenset(apis),
            gate,
            elsewhere=elsewhere(apis),
            **options,
        )
        self.app = RestApp(site, Desk(self, self, cors))
        self.heads = {}

    detailed = False

    def add(self, line):
        self.lines.append(astuple(line)[1:9])

    def requests(self, status):
        self.counts.append(status)

    def exchange(self, method, target, headers=(), body=b""):
        """The exchange of one request; heads with the same bytes are shared, as on a listener."""
        raw = f"{method} {target} HTTP/1.1\r\nHost: h\r\n".encode()
        raw += b"".join(f"{k}: {v}\r\n".encode("latin-1") for k, v in headers) + b"\r\n"
        head = self.heads.get(raw) or self.heads.setdefault(raw, parse(raw, Limits()))
        wire = Wire()
        pieces = [body] if body else []
        exchange = Exchange(wire, head, pieces, len(body), monotonic())
        return exchange, wire

    async def send(self, method, target, headers=(), body=b""):
        exchange, wire = self.exchange(method, target, headers, body)
        self.app(exchange)
        while self.app._tasks and not exchange.answered:
            await asyncio.wait(self.app._tasks)
        return wire.response


@pytest.fixture
def plane():
    return Plane()


@pytest.fixture
def inference(plane):
    return Listener(plane, [Api.INFERENCE])


@pytest.fixture
def management(plane):
    return Listener(plane, [Api.MANAGEMENT])


@pytest.fixture
def listen(plane):
    """Make a listener for given APIs and settings."""

    def make(*apis, **options):
        return Listener(plane, apis, **options)

    return make
