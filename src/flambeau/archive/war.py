"""Workflow archives: packing them and reading their manifest.

Called by the command ``torch-workflow-archiver`` and the package ``workflow_archiver``. It knows
the container only; the graph inside is a matter of ``flambeau.workflows``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from flambeau.archive.manifest import MANIFEST_NAME, MOST_BYTES
from flambeau.archive.mar import created_on
from flambeau.archive.packing import Contents, check_folder, check_free, check_name, write_zip
from flambeau.errors import InvalidModel

WAR_INF = "WAR-INF"
ARCHIVER_VERSION = "0.2.15"
"""The archiver whose archives ours are interchangeable with; stands in every manifest."""


class WorkflowEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The ``workflow`` object of a manifest; file names are relative to the archive's root."""

    workflow_name: str
    spec_file: str
    handler: str | None = None


class WorkflowManifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a workflow archive says about itself."""

    workflow: WorkflowEntry
    created_on: str
    archiver_version: str


@dataclass
class WorkflowArchiverConfig:
    """What goes into one workflow archive, and where it is written; names are the flags'."""

    workflow_name: str
    spec_file: str
    handler: str | None = None
    """None for a graph without functions of its own."""
    extra_files: str | None = None
    export_path: str | None = field(default_factory=os.getcwd)
    force: bool = False


def pack_workflow(config: WorkflowArchiverConfig, manifest: str | None = None) -> Path:
    """Write the archive ``config`` describes; its path. Raises PackingError and MissingFile."""
    check_name("Workflow", config.workflow_name)
    folder = Path(config.export_path or Path.cwd())
    target = folder / f"{config.workflow_name}.war"
    check_folder(folder)
    check_free(target, force=config.force)
    contents = Contents(WAR_INF, leave_out=target)
    for listed in (config.spec_file, config.handler, config.extra_files):
        if listed:
            contents.add_extra(listed)
    contents.check()
    text = workflow_manifest_text(config) if manifest is None else manifest
    write_zip(target, contents, (f"{WAR_INF}/{MANIFEST_NAME}", text), deflate=True)
    return target


def workflow_manifest_text(config: WorkflowArchiverConfig) -> str:
    """MANIFEST.json for ``config``."""
    document = {
        "createdOn": created_on(),
        "workflow": workflow_entry(config),
        "archiverVersion": ARCHIVER_VERSION,
    }
    return json.dumps(document, indent=2)


def workflow_entry(config: WorkflowArchiverConfig) -> dict[str, Any]:
    """The ``workflow`` object of the manifest; without a handler it names none."""
    entry = {
        "workflowName": config.workflow_name,
        "specFile": Path(config.spec_file).name,
    }
    if config.handler:
        entry["handler"] = Path(config.handler).name
    return entry


def read_workflow_manifest(folder: Path) -> WorkflowManifest:
    """The manifest of an unpacked workflow archive. Raises InvalidModel, which names the flaw."""
    path = folder / WAR_INF / MANIFEST_NAME
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InvalidModel(f"Workflow manifest is larger than {MOST_BYTES} bytes.")
        return msgspec.json.decode(path.read_bytes(), type=WorkflowManifest)
    except OSError as error:
        raise InvalidModel(
            f"Workflow archive has no {WAR_INF}/{MANIFEST_NAME}; "
            "pack it with torch-workflow-archiver."
        ) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidModel(f"Workflow manifest cannot be used: {error}") from error
