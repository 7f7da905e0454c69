"""What ``torchserve`` does: the messages, exit codes and file effects of the original command.

Starts the server in the background (or becomes it, with ``--foreground``) and stops it by its pid
file. All messages go to stdout, where tools look for them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.cli import launch
from flambeau.cli.flags import flags_of, parser
from flambeau.cli.pidfile import PidFile
from flambeau.config.options import TORCHSERVE_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flambeau.config.load import Flags

STOP_WAIT_S = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 refused or failed; argparse itself leaves with 2."""
    parsed = parser().parse_args(arguments)
    pid_file = PidFile()
    if parsed.version:
        print(f"TorchServe Version is {TORCHSERVE_VERSION}")
        return 0
    if parsed.stop:
        return _stop(pid_file, wait=parsed.foreground)
    try:
        return _start(flags_of(parsed), pid_file, foreground=parsed.foreground)
    except launch.LaunchError as error:
        print(error)
        return 1


def _start(flags: Flags, pid_file: PidFile, *, foreground: bool) -> int:
    warning = launch.rival_installation()
    if warning:
        print(warning, file=sys.stderr)
    if launch.claim(pid_file):
        print("Removing orphan pid file.")
    configuration = launch.checked(flags)
    if foreground:
        return launch.in_foreground(configuration, pid_file)
    launch.in_background(flags, pid_file)
    return 0


def _stop(pid_file: PidFile, *, wait: bool) -> int:
    ended = launch.stop(pid_file, wait_s=STOP_WAIT_S if wait else 0.0)
    if ended is None:
        print("TorchServe is not currently running.")
        return 0
    Path("key_file.json").unlink(missing_ok=True)
    if wait and not ended:
        print("Stopping TorchServe took too long.")
        return 1
    pid_file.remove()
    print("TorchServe has stopped.")
    return 0
