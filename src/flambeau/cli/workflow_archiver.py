"""The command ``torch-workflow-archiver``: its flags, messages and exit codes.

Also behind the package ``workflow_archiver``. Packing itself is ``archive.war``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import TYPE_CHECKING

from flambeau.archive.packing import PackingError
from flambeau.archive.war import WorkflowArchiverConfig, pack_workflow, workflow_manifest_text

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("flambeau.cli")

EXAMPLES = """\
examples:
  torch-workflow-archiver --workflow-name breeds --spec-file workflow.yaml \\
      --handler workflow_handler.py --export-path workflow_store
"""


def parser() -> argparse.ArgumentParser:
    """The flags of torch-workflow-archiver."""
    flags = argparse.ArgumentParser(
        prog="torch-workflow-archiver",
        description="Pack a workflow's graph and its functions into one archive to be served.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_argument(
        "--workflow-name",
        required=True,
        help="name of the workflow and of the file: letters, digits, '_', '-' and '.'",
    )
    flags.add_argument("--spec-file", required=True, help="YAML file with the models and the graph")
    flags.add_argument(
        "--handler", help="python file with the graph's functions; none if it has no functions"
    )
    flags.add_argument(
        "--export-path",
        default=os.getcwd(),  # noqa: PTH109 -- a text, as users of the package expect
        help="folder the archive is written to (default: the current one)",
    )
    flags.add_argument("-f", "--force", action="store_true", help="overwrite an existing archive")
    flags.add_argument(
        "--extra-files",
        help="comma separated files, folders (their contents are taken) and wildcards",
    )
    return flags


class ArgParser:
    """The flags as ``workflow_archiver.arg_parser`` offers them."""

    @staticmethod
    def workflow_archiver_args_parser() -> argparse.ArgumentParser:
        """The parser of the command."""
        return parser()


def package_workflow(args: WorkflowArchiverConfig, manifest: str) -> None:
    """Pack a workflow with ``manifest`` as its MANIFEST.json; exits 1, logged, when it cannot.

    ``args`` is a configuration or the namespace of the parsed flags: they have the same names.
    """
    try:
        target = pack_workflow(args, manifest)
    except PackingError as error:
        log.error("%s", error)  # noqa: TRY400 -- the text says it all
        sys.exit(1)
    log.info("Successfully exported workflow %s to file %s", args.workflow_name, target)


def generate_workflow_archive() -> None:
    """Pack the workflow this program's command line describes."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 packed, 1 not packed, 2 wrong flags."""
    logging.basicConfig(format="%(levelname)s - %(message)s")
    config = WorkflowArchiverConfig(**vars(parser().parse_args(arguments)))
    package_workflow(config, workflow_manifest_text(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
