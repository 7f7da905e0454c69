"""Starting and stopping the server process: what ``torchserve`` and ``flambeau serve|stop`` share.

Checks early what can be checked early. In the foreground this process is the server (so signals
and the exit code are its own), in the background a child in a session of its own is started:
``flambeau.cli.run``. Prints nothing; failures are ``LaunchError``.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from flambeau.cli.flags import arguments_of
from flambeau.cli.mark import PROCESS_MARK
from flambeau.config.load import Configuration, load
from flambeau.config.setting import ConfigurationError

if TYPE_CHECKING:
    from flambeau.cli.pidfile import PidFile
    from flambeau.config.load import Flags

ALREADY_RUNNING = "TorchServe is already running, please use torchserve --stop to stop TorchServe."


class LaunchError(Exception):
    """The server cannot be started as asked; the message is for the person who asked."""


def checked(flags: Flags) -> Configuration:
    """The settled configuration of these flags in this folder and environment."""
    _check_paths(flags)
    try:
        configuration = load(flags, os.environ, Path.cwd())
    except ConfigurationError as error:
        raise LaunchError(str(error)) from None
    store = configuration.options.model_store
    if store is None:
        raise LaunchError("Missing mandatory parameter --model-store")
    if not store.is_dir():
        raise LaunchError(f"--model-store directory not found: {store}")
    return configuration


def claim(pid_file: PidFile) -> bool:
    """True if an orphan pid file had to be removed; LaunchError if a server is running."""
    if pid_file.server() is not None:
        raise LaunchError(ALREADY_RUNNING)
    orphan = pid_file.exists()
    try:
        pid_file.remove()
    except OSError as error:
        raise LaunchError(
            f"{pid_file.path} cannot be removed ({error.strerror}); set TMPDIR to a folder of yours"
        ) from None
    return orphan


def in_background(flags: Flags, pid_file: PidFile) -> int:
    """The pid of a server that outlives this process and writes to the same stdout and stderr."""
    server = subprocess.Popen(  # noqa: S603 - our own module with the person's own arguments
        command(flags, pid_file), stdin=subprocess.DEVNULL, start_new_session=True
    )
    pid_file.write(server.pid)
    return server.pid


def in_foreground(configuration: Configuration, pid_file: PidFile) -> int:
    """Be the server until it is told to stop; the exit code. The process must carry the mark."""
    pid_file.write(os.getpid())
    try:
        from flambeau.server import run  # noqa: PLC0415 - other uses of the commands need no server

        return run(configuration.options, notices=configuration.notices)
    finally:
        pid_file.remove(only_of=os.getpid())


def command(flags: Flags, pid_file: PidFile) -> list[str]:
    """The command line of the server process."""
    return [
        sys.executable,
        "-m",
        "flambeau.cli.run",
        PROCESS_MARK,
        f"--pid-file={pid_file.path}",
        *arguments_of(flags),
    ]


def stop(pid_file: PidFile, *, wait_s: float) -> bool | None:
    """Asks the server to stop and waits up to ``wait_s`` seconds.

    None: there was no server. True: it has ended. False: it still runs, or was not waited for.
    """
    server = pid_file.server()
    if server is None:
        pid_file.remove()
        return None
    try:
        server.terminate()
        return _ends(server, wait_s)
    except psutil.NoSuchProcess:
        return True


def _ends(server: psutil.Process, within_s: float) -> bool:
    """Whether the process ends in time; one that its parent has not waited for has ended, too."""
    if not hasattr(os, "pidfd_open"):
        try:
            server.wait(timeout=within_s)
        except psutil.TimeoutExpired:
            return False
        return True
    try:
        descriptor = os.pidfd_open(server.pid)
    except ProcessLookupError:
        return True
    try:
        ready, _, _ = select.select([descriptor], [], [], within_s)
        return bool(ready)
    finally:
        os.close(descriptor)


def rival_installation() -> str | None:
    """A warning if TorchServe itself is installed in this environment, else None."""
    # Looking for the folder costs a tenth of importing importlib.metadata.
    named = (folder for place in sys.path for folder in Path(place).glob("torchserve-*.dist-info"))
    found = next(named, None)
    if found is None:
        return None
    version = found.name.removeprefix("torchserve-").removesuffix(".dist-info")
    return (
        f"WARNING: torchserve {version} is installed beside flambeau in {sys.prefix}. Both bring a "
        "package named ts and a command named torchserve, so either may answer. Remedy: "
        "pip uninstall torchserve torch-model-archiver torch-workflow-archiver, then "
        "pip install --force-reinstall --no-deps flambeau."
    )


def _check_paths(flags: Flags) -> None:
    files = {
        "--ts-config": None if os.environ.get("TS_CONFIG_FILE") else flags.ts_config,
        "--log-config": flags.log_config,
        "--cpp-log-config": flags.cpp_log_config,
    }
    folders = {"--model-store": flags.model_store, "--workflow-store": flags.workflow_store}
    for flag, name in files.items():
        if name is not None and not Path(name).is_file():
            raise LaunchError(f"{flag} file not found: {name}")
    for flag, name in folders.items():
        if name is not None and not Path(name).is_dir():
            raise LaunchError(f"{flag} directory not found: {name}")
