"""Fixtures that several test folders share.

``pack`` makes archives from a dict of files; ``serve`` starts real servers, each in a folder of its
own on free ports, and asserts that each leaves with exit code 0. Nothing here stands in for a part
of the product: tests that need a part build the real one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.running import LiveServer, write_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: what begins last in a parallel run should not take long."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """``pack("echo.mar", {"echo.py": source}, handler="echo:handle")`` gives an archive below
    ``tmp_path/archives``; keywords as in ``write_archive``. An absolute path is taken as it is."""

    def packed(name: str | Path, files: Mapping[str, str | bytes], **described: str) -> Path:
        return write_archive(tmp_path / "archives" / name, files, **described)

    return packed


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """``serve({"echo.mar": {"echo.py": source}}, models="echo.mar")`` starts a real server.

    ``archives`` maps an archive's file name to its files; the handler is the first file's
    ``handle`` or only class. ``models`` names those loaded at start, ``settings`` are lines of
    config.properties, ``flags`` go to the command line. Each server still running at the end
    must leave with exit code 0.
    """
    running: list[LiveServer] = []

    def started(
        archives: Mapping[str, Mapping[str, str]] | None = None,
        *,
        models: str | None = None,
        settings: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> LiveServer:
        folder = tmp_path / f"server{len(running)}"
        folder.mkdir()
        chosen = [*flags, *(["--models", models] if models else [])]
        server = LiveServer(folder, settings or {}, chosen)
        for name, files in (archives or {}).items():
            write_archive(
                server.store / name, files, handler=re.sub(r"\.py$", "", next(iter(files)))
            )
        running.append(server)
        server.start(environment)
        return server

    yield started
    codes = [server.stop() for server in running if server.process.poll() is None]
    for server in running:
        server.close()
    assert codes == [0] * len(codes), "a server did not leave with exit code 0"
