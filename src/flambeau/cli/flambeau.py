"""``flambeau``: the modern face of the commands. This module only gathers them.

Exit codes of every command: 0 done, 1 failed, 2 wrong command line.
"""

from __future__ import annotations

import click

from flambeau import __version__
from flambeau.cli.check import check
from flambeau.cli.logs import logs
from flambeau.cli.models import models
from flambeau.cli.pack import archive
from flambeau.cli.serve import serve, stop
from flambeau.cli.token import token
from flambeau.config.options import TORCHSERVE_VERSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    __version__, message=f"flambeau %(version)s (interface of TorchServe {TORCHSERVE_VERSION})"
)
def cli() -> None:
    """Serve PyTorch models from TorchServe archives, without a JVM.

    \b
    Examples:
      flambeau archive --name digits --version 1.0 --handler handler.py --model-file net.py
      flambeau check digits.mar --input digit.png
      flambeau serve digits.mar
      flambeau models scale digits --min 4
      flambeau logs --request 4e0b8c4e-0d2e-4c57-9f1c-0e7c4a7b5a11
      flambeau stop

    Exit codes: 0 done, 1 failed, 2 wrong command line.
    """  # noqa: D301 - \b keeps the lines of the examples


for _command in (serve, stop, check, archive, models, token, logs):
    cli.add_command(_command)


def main() -> None:
    """The ``flambeau`` command; leaves with the exit code."""
    cli(prog_name="flambeau")


if __name__ == "__main__":
    main()
