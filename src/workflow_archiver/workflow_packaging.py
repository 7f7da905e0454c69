"""Packing as functions; also run with ``python -m workflow_archiver.workflow_packaging``."""

from __future__ import annotations

from flambeau.archive.packing import PackingError as WorkflowArchiverError
from flambeau.cli.workflow_archiver import ArgParser, generate_workflow_archive, package_workflow
from flambeau.compat.workflow_export import WorkflowExport as WorkflowExportUtils

__all__ = [
    "ArgParser",
    "WorkflowArchiverError",
    "WorkflowExportUtils",
    "generate_workflow_archive",
    "package_workflow",
]

if __name__ == "__main__":
    generate_workflow_archive()
