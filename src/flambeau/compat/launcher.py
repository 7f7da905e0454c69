"""Starting, stopping and filling a server from Python: the functions of ``ts.launcher``.

For scripts and notebooks on the machine of the server. ``start`` and ``stop`` run the torchserve
command; the register calls speak to the management API on its usual port.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from typing import IO, TYPE_CHECKING, Any, Final

import requests

if TYPE_CHECKING:
    from collections.abc import Iterable

MANAGEMENT: Final = "http://localhost:8081/models"
STARTED: Final = "Model server started"
START_LIMIT_S: Final = 600.0
ANSWER_LIMIT_S: Final = 600.0
COMMAND_LIMIT_S: Final = 60.0
LAST_LINES: Final = 20

LogLine = str | None
"""One line of the server's output; None is its end."""


class Tee(Thread):
    """Reads lines and puts each into two queues; None ends both."""

    def __init__(self, reader: IO[str]) -> None:
        super().__init__(daemon=True, name="server output")
        self.reader = reader
        self.queue1: Queue[LogLine] = Queue()
        self.queue2: Queue[LogLine] = Queue()

    def run(self) -> None:
        """Read until the server has closed its output."""
        with self.reader:
            for line in self.reader:
                self.queue1.put(line)
                self.queue2.put(line)
        self.queue1.put(None)
        self.queue2.put(None)


class PrintTillTheEnd(Thread):
    """Prints every line of a queue until None."""

    def __init__(self, queue: Queue[LogLine]) -> None:
        super().__init__(daemon=True, name="server output printer")
        self.queue = queue

    def run(self) -> None:
        """Print until the end."""
        for line in iter(self.queue.get, None):
            print(line.rstrip("\n"))  # noqa: T201 - showing the server's output is the purpose


class StartFailed(RuntimeError):  # noqa: N818 - named like its siblings in errors
    """The server ended, or did not say that it has started; the message ends with its output."""


def start(  # noqa: PLR0917 - the public, positional signature
    model_store: str | None = None,
    snapshot_file: str | None = None,
    no_config_snapshots: bool = False,  # noqa: FBT001, FBT002 - positional in the public API
    plugin_folder: str | None = None,
    disable_token: bool = False,  # noqa: FBT001, FBT002 - as above
    models: str | Iterable[str] | None = None,
    enable_model_api: bool = False,  # noqa: FBT001, FBT002 - as above
) -> Queue[LogLine]:
    """A queue of the server's output lines, once it has started.

    A running server is stopped first. Raises StartFailed.
    """
    stop()
    line = [sys.executable, "-m", "flambeau.cli.torchserve", "--start"]
    for flag, value in (
        ("--model-store", model_store),
        ("--ts-config", snapshot_file),
        ("--plugins-path", plugin_folder),
    ):
        if value is not None:
            line += [flag, str(value)]
    for flag, on in (
        ("--no-config-snapshots", no_config_snapshots),
        ("--disable-token-auth", disable_token),
        ("--enable-model-api", enable_model_api),
    ):
        line += [flag] if on else []
    if models:
        line += ["--models", *(models.split() if isinstance(models, str) else models)]
    started = subprocess.Popen(  # noqa: S603 - our own module with the caller's own arguments
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    tee = Tee(started.stdout or sys.stdin)  # stdout is there: it was asked for
    tee.start()
    PrintTillTheEnd(tee.queue2).start()
    try:
        _wait_started(tee.queue1)
    finally:
        started.wait(COMMAND_LIMIT_S)  # the command itself; the server is its child and lives on
    return tee.queue1


def _wait_started(lines: Queue[LogLine]) -> None:
    seen: deque[str] = deque(maxlen=LAST_LINES)
    limit = monotonic() + START_LIMIT_S
    while True:
        try:
            line = lines.get(timeout=max(0.0, limit - monotonic()))
        except Empty:
            raise StartFailed(f"not started within {START_LIMIT_S} s:\n{''.join(seen)}") from None
        if line is None:
            raise StartFailed(f"the server ended before it had started:\n{''.join(seen)}")
        seen.append(line)
        if STARTED in line:
            return


def stop(wait: bool = True) -> None:  # noqa: FBT001, FBT002 - positional in the public API
    """Stop the server of this machine, if one runs; with ``wait`` return when it has ended."""
    line = [sys.executable, "-m", "flambeau.cli.torchserve", "--stop"]
    subprocess.run([*line, *(["--foreground"] if wait else [])], check=False)  # noqa: S603 - our own module


def register_model(model_name: str, url: str) -> requests.Response:
    """The answer to registering ``url`` as ``model_name`` with one worker, waited for."""
    return register_model_with_params(
        (
            ("model_name", model_name),
            ("url", url),
            ("initial_workers", "1"),
            ("synchronous", "true"),
        )
    )


def register_model_with_params(
    params: Mapping[str, Any] | Iterable[tuple[str, Any]],
) -> requests.Response:
    """The answer to a register call with these parameters."""
    pairs = list(params.items() if isinstance(params, Mapping) else params)
    return requests.post(MANAGEMENT, params=pairs, timeout=ANSWER_LIMIT_S)
