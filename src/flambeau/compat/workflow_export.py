"""The classes that tools written against the Python package of the workflow archiver call.

Re-exported by ``workflow_archiver`` alone; a thin face of the packing modules. Nothing of flambeau uses it.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.archive.manifest import MANIFEST_NAME
from flambeau.archive.mar import created_on
from flambeau.archive.packing import Contents, check_folder, check_free, check_name, write_zip
from flambeau.archive.war import (
    ARCHIVER_VERSION,
    WAR_INF,
    WorkflowArchiverConfig,
    workflow_entry,
    workflow_manifest_text,
)
from flambeau.compat.export import Export, copy_out, each, wanted

if TYPE_CHECKING:
    import zipfile


class Workflow:
    """The ``workflow`` object of a manifest, built by hand."""

    def __init__(self, workflow_name: str, spec_file: str, handler: str | None) -> None:
        self.workflow_name = workflow_name
        self.spec_file = Path(spec_file).name
        self.handler = handler and Path(handler).name
        self.workflow_dict = workflow_entry(
            WorkflowArchiverConfig(workflow_name, spec_file, handler)
        )

    def __to_dict__(self) -> dict[str, Any]:
        return self.workflow_dict

    def __str__(self) -> str:
        return json.dumps(self.workflow_dict)

    __repr__ = __str__


class Manifest:
    """MANIFEST.json of a workflow archive, built by hand."""

    def __init__(self, workflow: Workflow) -> None:
        self.creation_time = created_on()
        self.workflow = workflow
        self.archiver_version = ARCHIVER_VERSION
        self.manifest_dict = {
            "createdOn": self.creation_time,
            "workflow": workflow.workflow_dict,
            "archiverVersion": self.archiver_version,
        }

    def __to_dict__(self) -> dict[str, Any]:
        return self.manifest_dict

    def __str__(self) -> str:
        return json.dumps(self.manifest_dict, indent=2)

    __repr__ = __str__


class WorkflowExport(Export):
    """``WorkflowExportUtils`` of the old package."""

    @staticmethod
    def get_archive_export_path(export_file_path: str, workflow_name: str) -> str:
        """Where the archive goes."""
        return str(Path(export_file_path, f"{workflow_name}.war"))

    @staticmethod
    def check_war_already_exists(
        workflow_name: str,
        export_file_path: str | None,
        overwrite: bool,  # noqa: FBT001 -- signature of the old package
    ) -> str:
        """The folder to write to. Raises PackingError when the archive is there already."""
        folder = export_file_path or os.getcwd()  # noqa: PTH109 -- a text, as before
        check_free(Path(folder, f"{workflow_name}.war"), force=overwrite)
        return folder

    @staticmethod
    def generate_workflow(workflow_args: WorkflowArchiverConfig) -> Workflow:
        """The ``workflow`` object of the manifest."""
        return Workflow(workflow_args.workflow_name, workflow_args.spec_file, workflow_args.handler)

    @staticmethod
    def generate_manifest_json(args: WorkflowArchiverConfig) -> str:
        """MANIFEST.json for ``args``."""
        return workflow_manifest_text(args)

    @staticmethod
    def copy_artifacts(workflow_name: str, artifact_files: list[str | None]) -> str:
        """A new temporary folder, called like the workflow, with copies of the files named."""
        folder = Path(tempfile.mkdtemp(), workflow_name)
        contents = Contents(WAR_INF, leave_out=folder)
        for listed in filter(None, artifact_files):
            contents.add_extra(listed)
        copy_out(contents, folder)
        return str(folder)

    @staticmethod
    def archive(export_file: str, workflow_name: str, workflow_path: str, manifest: str) -> None:
        """Pack the folder ``workflow_path``."""
        target = Path(export_file, f"{workflow_name}.war")
        contents = Contents(WAR_INF, leave_out=target)
        contents.add_extra(workflow_path)
        write_zip(target, contents, (f"{WAR_INF}/{MANIFEST_NAME}", manifest), deflate=True)

    @staticmethod
    def archive_dir(path: str, dst: zipfile.ZipFile) -> None:
        """Add the files below ``path`` to an open archive."""
        contents = Contents(WAR_INF, leave_out=Path(os.devnull))
        contents.add_extra(path)
        each(contents, dst.write)

    @staticmethod
    def file_filter(current_file: str, files_to_exclude: set[str]) -> bool:
        """True when a file of that name belongs into an archive."""
        return wanted(current_file, files_to_exclude, ".war")

    @staticmethod
    def check_workflow_name_regex_or_exit(workflow_name: str) -> None:
        """Raise PackingError unless the name is allowed."""
        check_name("Workflow", workflow_name)

    @staticmethod
    def validate_inputs(workflow_name: str, export_path: str) -> None:
        """Raise PackingError unless name and folder can be used."""
        check_name("Workflow", workflow_name)
        check_folder(export_path)
