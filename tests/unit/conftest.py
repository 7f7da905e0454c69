"""A live model version with real workers, for the tests of jobs, supervision and control."""

from __future__ import annotations

import asyncio
import itertools
import logging
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flambeau.archive.manifest import Manifest
from flambeau.archive.model_config import ModelConfig
from flambeau.archive.store import ModelFiles
from flambeau.control.devices import SharedRound
from flambeau.control.model import ModelVersion, Workshop
from flambeau.control.spec import ModelSpec
from flambeau.errors import Unavailable
from flambeau.jobs.feed import Prefetch
from flambeau.jobs.job import Answer, Job, Part
from flambeau.metrics.definitions import read_definitions
from flambeau.metrics.registry import Metrics
from flambeau.supervision.environment import EnvironmentRule
from flambeau.supervision.launcher import LOCAL, Launchers
from flambeau.supervision.process import SpawnLauncher
from flambeau.supervision.templates import ForkLauncher
from flambeau.transport.messages import NO_HEADERS
from tests.elsewhere import CallingLauncher

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.supervision.launcher import Launcher

OBEDIENT = """
import os, sys, time

def obey(line):
    word, _, rest = line.partition(" ")
    if word == "sleep":
        time.sleep(float(rest))
    elif word == "until":
        while not os.path.exists(rest):
            time.sleep(0.001)
    elif word == "note":
        with open(rest, "a") as file:
            file.write("x")
    elif word == "exit":
        os._exit(int(rest))
    elif word == "kill":
        os.kill(os.getpid(), 9)
    elif word == "raise":
        raise ValueError(rest)
    elif word == "print":
        print(rest, flush=True)
        print(rest, file=sys.stderr, flush=True)
    elif word == "env":
        return os.environ.get(rest, "-")
    return line

def handle(data, context):
    if data is None:
        return None
    told = []
    for row in data:
        text = bytes(row["body"]).decode() if "body" in row else "describe"
        said = [obey(line) for line in text.split(";")][-1]
        told.append(f"{os.getpid()} {len(data)} {said}")
    return told
"""
"""A handler that does what the lines of its input say, and tells its pid and the batch size."""


class Told:
    """What an OBEDIENT worker answered: its pid, the size of the batch, its last words."""

    def __init__(self, answer: Answer) -> None:
        assert answer.error is None, answer.error
        pid, size, self.said = answer.body.decode().split(" ", 2)
        self.pid, self.size = int(pid), int(size)


class Live:
    """A live version, its launcher, and short ways to ask it something."""

    def __init__(self, version: ModelVersion, launcher: Any, lines: list[tuple[str, ...]]) -> None:
        self.version = version
        self.launcher = launcher
        self.lines = lines
        self.dispatcher = version.dispatcher

    async def loaded(self) -> None:
        """Returns when all slots have a ready worker."""
        await asyncio.gather(*(slot.loaded for slot in self.version.slots))

    def job(self, line: str = "", *, alone: bool = False) -> tuple[Job, asyncio.Future[Answer]]:
        """A job that is not yet submitted, and its answer to come."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def tell(_: Job, answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        job = Job("request", NO_HEADERS, [Part("body", "", [line.encode()])], tell)
        job.alone = alone
        return job, answered

    def ask(self, line: str = "", *, alone: bool = False) -> asyncio.Future[Answer]:
        """Submit a job; its answer to come."""
        job, answered = self.job(line, alone=alone)
        self.version.accept(job)
        return answered

    async def told(self, line: str = "") -> Told:
        """The answer of a worker that has been asked to obey ``line``."""
        return Told(await asyncio.wait_for(self.ask(line), 20))

    async def close(self) -> None:
        await self.version.close(Unavailable("over"), 0.0)
        await self.launcher.close()
        await asyncio.sleep(0)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(read_definitions(None), hostname="here")


@pytest.fixture
def workshop() -> Callable[..., tuple[Workshop, list[tuple[str, ...]]]]:
    """``workshop(started="spawned", hidden="", **fields)``: a Workshop, and what workers print.

    ``started`` says how: ``spawned``, ``forked`` or ``called``, as if on another machine.
    """

    def make(
        *, started: str = "spawned", forked: bool = False, hidden: str = "", **fields: Any
    ) -> tuple[Workshop, list[tuple[str, ...]]]:
        lines: list[tuple[str, ...]] = []
        rule = EnvironmentRule(hidden)

        def sink(*line: str) -> None:
            lines.append(line)

        makers: dict[str, Callable[[], Launcher]] = {
            "spawned": lambda: SpawnLauncher(sink),
            "forked": lambda: ForkLauncher(rule, sink),
            "called": lambda: CallingLauncher(sink),
        }
        launcher = Launchers({LOCAL: makers["forked" if forked else started]()})
        numbers = itertools.count(9000)
        fields.setdefault("devices", SharedRound(0))
        shop = Workshop(launcher=launcher, rule=rule, worker_ids=numbers.__next__, **fields)
        return shop, lines

    return make


def spec_of(**fields: Any) -> ModelSpec:
    """A settled spec of model ``m``, version 1.0."""
    settled: dict[str, Any] = {
        "name": "m",
        "version": "1.0",
        "url": "m.mar",
        "runtime": "python",
        "handler": "handler.py",
        "min_workers": 1,
        "max_workers": 1,
        "batch_size": 1,
        "max_batch_delay": 100,
        "response_timeout": 20,
        "startup_timeout": 20,
        **fields,
    }
    return ModelSpec(**settled)


@pytest.fixture
async def live(tmp_path, metrics, workshop):
    """``await live(workers=1, ...)`` gives a Live; see the keywords.

    ``source`` is the handler's; ``config`` are values of its model config; ``shop`` those of the
    workshop; the rest are fields of the spec.
    """
    running: list[Live] = []

    async def start(
        source: str = OBEDIENT,
        *,
        workers: int = 1,
        config: dict[str, Any] | None = None,
        shop: dict[str, Any] | None = None,
        wait: bool = True,
        prefetch: Prefetch | None = None,
        **fields: Any,
    ) -> Live:
        folder = tmp_path / f"model{len(running)}"
        folder.mkdir()
        (folder / "handler.py").write_text(textwrap.dedent(source))
        files = ModelFiles(
            "m.mar", folder, Manifest(), None, ModelConfig(), None, None, Path(folder)
        )
        made, lines = workshop(prefetch=prefetch or Prefetch(), **(shop or {}))
        version = ModelVersion(
            spec_of(**{**(config or {}), **fields}), files, made, metrics.model("m", "1.0")
        )
        one = Live(version, made.launcher, lines)
        running.append(one)
        version.scale(workers, workers)
        if wait:
            await one.loaded()
        return one

    yield start
    for one in running:
        await one.close()


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many descriptors this process holds."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def loud_loop(caplog):
    """No test passes while the event loop complains of something nobody looked after."""
    yield
    complaints = [
        record.getMessage()
        for phase in ("setup", "call")
        for record in caplog.get_records(phase)
        if record.name == "asyncio" and record.levelno >= logging.ERROR
    ]
    assert not complaints, complaints


async def eventually(met: Callable[[], bool], limit: float = 10.0) -> None:
    """Returns when ``met()`` is true; fails the test if it is not within ``limit`` seconds."""
    async with asyncio.timeout(limit):
        while not met():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.002)


@pytest.fixture(name="eventually")
def eventually_fixture():
    return eventually


@pytest.fixture(name="told")
def told_fixture():
    return Told
