"""The end of the server process; how it serves is tested live."""

from __future__ import annotations

import subprocess
import sys
import textwrap

STUCK = """
    import asyncio, sys, threading, time
    from flambeau import server
    from flambeau.config.options import Options

    server.END_WAIT = 0.2
    until = threading.Event()

    async def run(self):
        asyncio.get_running_loop().run_in_executor(None, until.wait)
        if sys.argv[1] == "fails":
            raise server.CannotStart("no certificate")

    server.Server.run = run
    sys.exit(server.run(Options()))
"""
"""A server whose loop cannot close: a thread of its executor never ends."""


def ended(how: str) -> tuple[int, str]:
    """Exit code and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STUCK), how],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_loop_that_does_not_close_keeps_no_process():
    code, told = ended("stops")
    assert code == 0
    assert "the event loop did not close within 0.2 s" in told


def test_a_server_that_could_not_start_still_says_so_with_its_code():
    code, told = ended("fails")
    assert code == 1
    assert told.startswith("no certificate\n")
