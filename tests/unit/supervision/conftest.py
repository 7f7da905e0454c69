"""Launchers of every kind, and commands for them.

These tests run on the loop the server runs on; those of control on the standard one.
"""

from __future__ import annotations

import asyncio
import os
import textwrap
from contextlib import asynccontextmanager

import pytest

from flambeau.parts import loop_factory
from flambeau.supervision import slot as slots
from flambeau.supervision.environment import EnvironmentRule
from flambeau.supervision.launcher import WorkerCommand
from flambeau.supervision.process import SpawnLauncher
from flambeau.supervision.templates import ForkLauncher
from tests.elsewhere import CallingLauncher


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories():
    return {"server": loop_factory()}


@asynccontextmanager
async def _tidy(launcher):
    """Afterwards nothing of the launcher is left, even of a test that failed midway."""
    started = []
    launch = launcher.launch

    async def launched(command):
        started.append(await launch(command))
        return started[-1]

    launcher.launch = launched
    yield
    await asyncio.gather(*(worker.stop(0) for worker in started))
    await launcher.close()
    await asyncio.sleep(0.05)


@pytest.fixture
def lines() -> list[tuple[str, ...]]:
    return []


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder on the server's own import path."""
    folder = tmp_path / "modules"
    folder.mkdir()
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    return folder


@pytest.fixture
async def forks(lines, modules):
    launcher = ForkLauncher(EnvironmentRule(), lambda *line: lines.append(line))
    async with _tidy(launcher):
        yield launcher


@pytest.fixture
async def spawns(lines):
    launcher = SpawnLauncher(lambda *line: lines.append(line))
    async with _tidy(launcher):
        yield launcher


@pytest.fixture
async def calls(lines):
    launcher = CallingLauncher(lambda *line: lines.append(line))
    async with _tidy(launcher):
        yield launcher


@pytest.fixture(params=["spawns", "forks", "calls"])
def launcher(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def command(tmp_path):
    """``command("W-1-m", "torch")``: for a model whose handler imports torch."""

    def make(
        name: str = "W-9000-m_1.0", *imports: str, python: str = "", **variables: str
    ) -> WorkerCommand:
        handler = "_".join(("handler", *imports)) + ".py"
        (tmp_path / handler).write_text("\n".join(f"import {each}" for each in imports))
        environment = EnvironmentRule().for_model(tmp_path, handler, variables)
        return WorkerCommand(name, tmp_path, handler, environment, python)

    return make


@pytest.fixture
def module(modules):
    """``module("name", source)``: a module that templates can import."""

    def make(name: str, source: str) -> str:
        (modules / f"{name}.py").write_text(textwrap.dedent(source))
        return name

    return make


@pytest.fixture
def soon(monkeypatch):
    """A failed worker is tried again almost at once."""
    monkeypatch.setattr(slots, "BACK_OFF", (0.02,))
