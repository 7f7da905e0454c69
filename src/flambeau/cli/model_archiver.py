"""The command ``torch-model-archiver``: its flags, messages and exit codes.

Also behind the package ``model_archiver``, whose users call the same functions from Python.
Packing itself is ``archive.mar``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import TYPE_CHECKING

from flambeau.archive.manifest import RuntimeType
from flambeau.archive.mar import SUFFIXES, ModelArchiverConfig, manifest_text, pack
from flambeau.archive.packing import PackingError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("flambeau.cli")

EXAMPLES = """\
examples:
  torch-model-archiver --model-name digits --version 1.0 --serialized-file digits.pt \\
      --handler image_classifier --extra-files index_to_name.json --export-path model_store
  torch-model-archiver --model-name echo --version 2 --handler src/echo.py:answer --force
"""


def parser() -> argparse.ArgumentParser:
    """The flags of torch-model-archiver."""
    flags = argparse.ArgumentParser(
        prog="torch-model-archiver",
        description="Pack a model, its handler and its files into one archive to be served.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument(
        "--model-name",
        required=True,
        help="name of the model and of the file: letters, digits, '_', '-' and '.'",
    )
    flags.add_argument("-v", "--version", required=True, help="version of the model, any text")
    flags.add_argument(
        "--handler",
        required=True,
        help="a built-in handler's name, or a python file, with ':function' if that is the entry",
    )
    flags.add_argument(
        "--serialized-file", help="weights (.pt, .pth), TorchScript or ONNX file; optional"
    )
    flags.add_argument(
        "--model-file", help="python file with the one class of the model; for eager mode"
    )
    flags.add_argument(
        "--extra-files",
        help="comma separated files, folders (their contents are taken) and wildcards",
    )
    flags.add_argument(
        "--runtime",
        default=RuntimeType.PYTHON.value,
        choices=[kind.value for kind in RuntimeType],
        help="what runs the handler (default: %(default)s)",
    )
    flags.add_argument(
        "--export-path",
        default=os.getcwd(),  # noqa: PTH109 -- a text, as users of the package expect
        help="folder the archive is written to (default: the current one)",
    )
    flags.add_argument(
        "--archive-format",
        default="default",
        choices=list(SUFFIXES),
        help="default: zip, compressed (.mar); zip-store: zip, not compressed (.mar); "
        "tgz: gzipped tar (.tar.gz); no-archive: a plain folder",
    )
    flags.add_argument("-f", "--force", action="store_true", help="overwrite an existing archive")
    flags.add_argument(
        "-r", "--requirements-file", help="requirements.txt with packages only this model needs"
    )
    flags.add_argument("-c", "--config-file", help="model-config.yaml with the model's settings")
    return flags


class ArgParser:
    """The flags as ``model_archiver.arg_parser`` offers them."""

    @staticmethod
    def export_model_args_parser() -> ModelArchiverConfig:
        """The configuration this program's command line describes; exits 2 if it is wrong."""
        return ModelArchiverConfig.from_args(parser().parse_args())


def package_model(config: ModelArchiverConfig, manifest: str) -> None:
    """Pack a model with ``manifest`` as its MANIFEST.json. Raises PackingError, also logged."""
    try:
        target = pack(config, manifest)
    except PackingError as error:
        log.error("%s", error)  # noqa: TRY400 -- the text says it all, and it is raised on
        raise
    log.info("Successfully exported model %s to file %s", config.model_name, target)


def generate_model_archive(config: ModelArchiverConfig | None = None) -> None:
    """Pack the model ``config`` describes; without one, the one the command line describes."""
    logging.basicConfig(format="%(levelname)s - %(message)s")
    if config is None:
        config = ArgParser.export_model_args_parser()
    package_model(config, manifest_text(config))


class ModelArchiver:
    """Packing as ``model_archiver.ModelArchiver`` offers it."""

    @staticmethod
    def generate_model_archive(config: ModelArchiverConfig) -> None:
        """Pack the model ``config`` describes. Raises PackingError."""
        generate_model_archive(config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 packed, 1 not packed, 2 wrong flags."""
    logging.basicConfig(format="%(levelname)s - %(message)s")
    config = ModelArchiverConfig.from_args(parser().parse_args(arguments))
    try:
        package_model(config, manifest_text(config))
    except PackingError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
