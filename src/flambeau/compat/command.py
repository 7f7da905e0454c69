"""The torchserve command as older programs call it: ``ts.model_server`` and ``ts.arg_parser``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flambeau.cli import torchserve
from flambeau.cli.flags import parser
from flambeau.cli.mark import PROCESS_MARK
from flambeau.config.properties import decoded, pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

TS_NAMESPACE: Final = PROCESS_MARK


def start() -> None:
    """Run the torchserve command with this process's arguments; leaves when it fails."""
    code = torchserve.main()
    if code:
        sys.exit(code)


def load_properties(file_path: str) -> dict[str, str]:
    """Keys and values of a properties file; empty when there is no such file."""
    path = Path(file_path or os.devnull)
    if not path.is_file():
        return {}
    return {pair.key: pair.value for pair in pairs(decoded(path.read_bytes()))}


class ArgParser:
    """The parsers of the command and of the original's worker."""

    @staticmethod
    def ts_parser() -> argparse.ArgumentParser:
        """The parser of the torchserve command."""
        return parser()

    @staticmethod
    def model_service_worker_args() -> argparse.ArgumentParser:
        """The parser of the original's worker program, for scripts that read its flags."""
        worker = argparse.ArgumentParser(
            prog="model-server-worker", description="Model Server Worker"
        )
        worker.add_argument("--sock-type", required=True, choices=["unix", "tcp"])
        for flag in ("--sock-name", "--host", "--port", "--metrics-config"):
            worker.add_argument(flag)
        worker.add_argument("--async", dest="async_comm", action="store_true")
        return worker

    @staticmethod
    def extract_args(args: Sequence[str] | None = None) -> argparse.Namespace:
        """The flags of a torchserve command line; unknown ones are left out."""
        return parser().parse_known_args(args)[0]
