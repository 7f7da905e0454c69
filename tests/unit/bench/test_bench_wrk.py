"""wrk is used where there is one, and its absence is survived."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import measure
from bench.wrk import provide_wrk, wrk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder on PATH; ``.bench`` is elsewhere too."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("bench.wrk.FOLDER", tmp_path / "wrk")
    wrk.cache_clear()
    yield folder
    wrk.cache_clear()


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_an_installed_wrk_is_used(commands):
    installed = program(commands / "wrk", "exit 0")
    provide_wrk()
    assert wrk() == (str(installed),)
    assert measure.tool() == "wrk"


def test_an_unpacked_wrk_finds_its_libraries(commands, tmp_path):
    unpacked = program(tmp_path / "wrk" / "usr" / "bin" / "wrk", "exit 0")
    libraries = tmp_path / "wrk" / "usr" / "lib" / "x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    assert wrk() == ("env", f"LD_LIBRARY_PATH={libraries}", str(unpacked))


def test_another_distribution_uses_our_own_generator(commands):
    provide_wrk()
    assert measure.tool() == "bench/load.py"


def test_a_failed_download_says_why_and_uses_our_own_generator(commands, capsys):
    program(commands / "apt-get", "echo 'no such host' >&2; exit 100")
    program(commands / "dpkg-deb", "exit 0")
    provide_wrk()
    assert measure.tool() == "bench/load.py"
    assert "no wrk, so bench/load.py makes the load: no such host" in capsys.readouterr().out


def test_what_wrk_prints_is_read():
    loaded = measure.read_wrk(
        "  Latency Distribution\n     50%  160.00us\n     75%    1.20ms\n     90%    2.00ms\n"
        "     99%    1.50s \n  1200 requests in 2.00s, 100.00KB read\n"
        "  Socket errors: connect 0, read 1, write 0, timeout 2\n"
        "  Non-2xx or 3xx responses: 4\n"
    )
    assert (loaded.requests, loaded.errors, loaded.seconds) == (1200, 7, 2.0)
    assert (loaded.p50_ms, loaded.p99_ms) == (0.16, 1500.0)
