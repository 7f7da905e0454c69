"""The word by which tools find a server among all processes, and how a process comes by it.

Only a new program can have another command line. So a command that is to be the server begins
again with the mark among its arguments, before it has imported anything: nothing is imported
twice, and from then on it is one process.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

PROCESS_MARK: Final = "org.pytorch.serve.ModelServer"
"""Stands in the argv of every server process: tools of others find a server by this word."""


def become_marked(module: str, words: Sequence[str]) -> NoReturn:
    """Begin this process again as ``python -m module`` with the mark before ``words``."""
    line = [sys.executable, "-m", module, PROCESS_MARK, *words]
    os.execv(line[0], line)  # noqa: S606 - no shell is wanted
