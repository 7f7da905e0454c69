"""``python -m flambeau.worker.template FD PARENT MODULE...``: a process to fork workers from.

It imports MODULEs once, then forks a worker for each request on the control socket FD. The
server asks in packets: ``fork PYTHONPATH`` with three descriptors (worker socket, stdout, stderr)
is answered by the line ``forked PID``; a worker's end is told as ``ended PID STATUS``. The first
line out is ``ready`` or ``unsafe REASON`` when forking this process could hurt its workers. All
other variables a worker sees are those this process was started with.

It never imports anything of an archive and runs no handler.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from flambeau.worker.life import die_with, own_signals
from flambeau.worker.loop import run

SURVIVE_FORK = ("numpy", "scipy.linalg")
"""Libraries that start threads of their own when imported and restart them after a fork."""
LONGEST_REQUEST = 256 * 1024
"""Bytes; the system lets no variable be longer than half of that."""


def main(argv: list[str]) -> int:
    """Import, then fork on request until the control socket ends."""
    descriptor, parent, modules = int(argv[0]), int(argv[1]), argv[2:]
    own_signals()
    die_with(parent)
    os.set_inheritable(descriptor, False)
    control = socket.socket(fileno=descriptor)
    reason = preload(modules)
    gc.collect()
    gc.freeze()
    control.sendall(f"unsafe {reason}\n".encode() if reason else b"ready\n")
    return 0 if reason else _serve(control)


def preload(modules: list[str]) -> str:
    """Import ``modules`` and say why this process must not be forked; empty when it may.

    A module that cannot be imported is left to the workers, which report it better.
    """
    tops = {name.partition(".")[0] for name in modules}
    if tops - {"PIL"}:
        for name in SURVIVE_FORK:
            if name.partition(".")[0] in tops or "torch" in tops or "ts" in tops:
                _try_import(name)
    threads = _native_threads()
    for name in modules:
        _try_import(name)
    if threading.active_count() > 1:
        return "a library started Python threads"
    if _native_threads() > threads:
        return "a library started threads of its own"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "CUDA is initialised"
    return ""


def _try_import(name: str) -> None:
    with contextlib.suppress(Exception, SystemExit):
        importlib.import_module(name)


def _native_threads() -> int:
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return 1


def _serve(control: socket.socket) -> int:
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    sources: list[Any] = [control, wake_read]
    while True:
        readable, _, _ = select.select(sources, [], [])
        if wake_read in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            _tell_ended(control)
        if control in readable:
            request, descriptors, _, _ = socket.recv_fds(control, LONGEST_REQUEST, 3)
            if not request:
                return 0
            import_path = os.fsdecode(request.removeprefix(b"fork "))
            _fork(control, descriptors, import_path, (wake_read, wake_write))


def _tell_ended(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        control.sendall(f"ended {pid} {code}\n".encode())


def _fork(
    control: socket.socket, descriptors: list[int], import_path: str, wake: tuple[int, int]
) -> None:
    template = os.getpid()
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(f"forked {pid}\n".encode())
        return
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with(template)
        control.close()
        for end in wake:
            os.close(end)
        code = _become_worker(descriptors, import_path)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _become_worker(descriptors: list[int], import_path: str) -> int:
    os.environ.pop("PYTHONPATH", None)
    if import_path:
        os.environ["PYTHONPATH"] = import_path
    connection, out, err = descriptors
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        # Every fork would draw the same "random" numbers; a fresh process would not.
        numpy.random.seed()
    try:
        return run(socket.socket(fileno=connection))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the end of the process: told, then over
        sys.excepthook(*sys.exc_info())
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
