"""``flambeau``: where the command begins.

``flambeau serve`` that stays becomes the server, with the mark among its arguments: see
``cli.mark``. The commands are in ``flambeau_command``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flambeau.cli.mark import PROCESS_MARK, become_marked

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> None:
    """The ``flambeau`` command; leaves with the exit code."""
    words = sys.argv[1:]
    if stays(words):
        become_marked("flambeau.cli.flambeau", words)
    from flambeau.cli.flambeau_command import cli  # noqa: PLC0415 - not before the line above

    cli([word for word in words if word != PROCESS_MARK], prog_name="flambeau")


def stays(words: Sequence[str]) -> bool:
    """Whether these arguments start a server in this process, which carries no mark yet."""
    others = {"--detach", "--help", "-h", PROCESS_MARK}
    return words[:1] == ["serve"] and others.isdisjoint(words)


if __name__ == "__main__":
    main()
