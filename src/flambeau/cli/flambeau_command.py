"""What ``flambeau`` does: this module only gathers the commands.

Each is imported when it is used: a server that was started by one carries none of the others.
Exit codes of every command: 0 done, 1 failed, 2 wrong command line.
"""

from __future__ import annotations

import importlib
from typing import Final

import click

from flambeau import __version__
from flambeau.build import build
from flambeau.config.options import TORCHSERVE_VERSION

COMMANDS: Final = {
    "archive": "pack",
    "check": "check",
    "logs": "logs",
    "models": "models",
    "serve": "serve",
    "stop": "serve",
    "token": "token",
}
"""Name of a command, which is a function of that name, to its module in ``flambeau.cli``."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"flambeau.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    __version__,
    message=f"flambeau %(version)s, {build()} (interface of TorchServe {TORCHSERVE_VERSION})",
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
