"""``python -m flambeau.cli.run``: the server process.

Started in the background by ``torchserve`` and ``flambeau serve --detach`` (``cli.launch``), or
directly by tests and process supervisors. Settles the configuration and runs the server until it is told to stop. Takes
torchserve's flags and ``--set key=value``; always stays in the foreground.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flambeau.cli import launch
from flambeau.cli.flags import flags_of, server_parser
from flambeau.cli.mark import PROCESS_MARK
from flambeau.cli.pidfile import PidFile
from flambeau.server import run

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the server: 0 after a stop that was asked for, 1 after a failure."""
    given = sys.argv[1:] if arguments is None else arguments
    parsed = server_parser().parse_args([word for word in given if word != PROCESS_MARK])
    try:
        configuration = launch.checked(flags_of(parsed))
        return run(configuration.options, notices=configuration.notices)
    except launch.LaunchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        if parsed.pid_file:
            PidFile(Path(parsed.pid_file)).remove(only_of=os.getpid())


if __name__ == "__main__":
    sys.exit(main())
