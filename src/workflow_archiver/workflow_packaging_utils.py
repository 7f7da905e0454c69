"""The steps of packing, one by one."""

from __future__ import annotations

from flambeau.archive.manifest import MANIFEST_NAME as MANIFEST_FILE_NAME
from flambeau.archive.packing import PackingError as WorkflowArchiverError
from flambeau.archive.war import WAR_INF
from flambeau.compat.workflow_export import Manifest, Workflow
from flambeau.compat.workflow_export import WorkflowExport as WorkflowExportUtils

__all__ = [
    "MANIFEST_FILE_NAME",
    "WAR_INF",
    "Manifest",
    "Workflow",
    "WorkflowArchiverError",
    "WorkflowExportUtils",
]
