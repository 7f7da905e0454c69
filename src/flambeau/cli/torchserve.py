"""``torchserve``: where the command begins.

To stay in the foreground means to become the server, with the mark among its arguments: see
``cli.mark``. What the command does is in ``torchserve_command``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flambeau.cli.mark import PROCESS_MARK, become_marked

if TYPE_CHECKING:
    from collections.abc import Sequence

FOREGROUND = "--foreground"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 refused or failed; argparse itself leaves with 2.

    Without ``arguments`` those of the process count, and a server that is to stay in the
    foreground takes the place of the process.
    """
    if arguments is None and stays(sys.argv[1:]):
        become_marked("flambeau.cli.torchserve", sys.argv[1:])
    from flambeau.cli import torchserve_command  # noqa: PLC0415 - not before the lines above

    words = sys.argv[1:] if arguments is None else arguments
    return torchserve_command.main([word for word in words if word != PROCESS_MARK])


def stays(words: Sequence[str]) -> bool:
    """Whether these arguments start a server in this process, which carries no mark yet."""
    # No other flag begins with --f, and argparse takes every beginning for the whole flag.
    foreground = any(word.startswith("--f") and FOREGROUND.startswith(word) for word in words)
    stop = any(word.startswith("--sto") and "--stop".startswith(word) for word in words)
    return foreground and not stop and PROCESS_MARK not in words


if __name__ == "__main__":
    sys.exit(main())
