"""A worker's ties to its server: no worker outlives it, however it dies.

On Linux the kernel is asked to kill the worker when its parent ends. Elsewhere the worker ends
when its socket does, which it notices between two batches.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Arrange that this process is killed when the process ``parent`` ends.

    Exits at once if ``parent`` has ended already.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def own_signals() -> None:
    """Leave stopping to the server: a terminal or a supervisor signals the whole group.

    Not ignored but caught: programs that a handler starts get the default action back.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stay)


def _stay(number: int, frame: object) -> None:
    """The server has had the same signal and will tell this worker when to end."""
