"""Workflow archives."""

import json
import zipfile
from pathlib import Path

import pytest
from archive_bytes import tree

from flambeau.archive.members import ArchiveLimits
from flambeau.archive.packing import PackingError
from flambeau.archive.unpack import unpack
from flambeau.archive.war import WorkflowArchiverConfig, pack_workflow, read_workflow_manifest
from flambeau.errors import InvalidModel


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("w.yaml", "h.py", "k.txt"):
        Path(name).write_text(name)
    return tmp_path


def test_a_workflow_comes_out_as_it_was_packed(work):
    path = pack_workflow(WorkflowArchiverConfig("w", "w.yaml", "h.py", "k.txt", "."))
    with zipfile.ZipFile(path) as packed:
        assert packed.namelist() == ["w.yaml", "h.py", "k.txt", "WAR-INF/MANIFEST.json"]
        document = json.loads(packed.read("WAR-INF/MANIFEST.json"))
    assert list(document) == ["createdOn", "workflow", "archiverVersion"]
    assert document["workflow"] == {"workflowName": "w", "specFile": "w.yaml", "handler": "h.py"}
    unpack(path, work / "again", ArchiveLimits(), kind="workflow")
    manifest = read_workflow_manifest(work / "again")
    assert manifest.workflow.workflow_name == "w"
    assert manifest.workflow.handler == "h.py"
    assert manifest.archiver_version == "0.2.15"


def test_a_workflow_without_functions_needs_no_handler(work):
    path = pack_workflow(WorkflowArchiverConfig("w", "w.yaml"))
    unpack(path, work / "again", ArchiveLimits())
    assert read_workflow_manifest(work / "again").workflow.handler is None
    assert "h.py" not in tree(work / "again")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"workflow_name": "a b"}, "Workflow name 'a b' is not allowed"),
        ({"spec_file": "absent.yaml"}, "File does not exist: absent.yaml"),
        ({"handler": "absent.py"}, "File does not exist: absent.py"),
        ({"extra_files": "absent"}, "File does not exist: absent"),
        ({"export_path": "absent"}, "is not a directory"),
    ],
)
def test_what_cannot_be_packed_is_named(work, change, cause):
    values = {"workflow_name": "w", "spec_file": "w.yaml", "export_path": "."} | change
    before = tree(work)
    with pytest.raises(PackingError, match=cause):
        pack_workflow(WorkflowArchiverConfig(**values))
    assert tree(work) == before


def test_an_archive_is_overwritten_only_when_asked(work):
    pack_workflow(WorkflowArchiverConfig("w", "w.yaml"))
    with pytest.raises(PackingError, match="already exists"):
        pack_workflow(WorkflowArchiverConfig("w", "w.yaml"))
    pack_workflow(WorkflowArchiverConfig("w", "w.yaml", force=True))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (None, "has no WAR-INF/MANIFEST.json"),
        ("{", "cannot be used"),
        ('{"workflow": {"workflowName": "w", "specFile": "s"}}', "createdOn"),
        (
            '{"createdOn": "x", "archiverVersion": "1", "workflow": {"specFile": "s"}}',
            "workflowName",
        ),
        ('{"createdOn": "x", "archiverVersion": "1"}', "workflow"),
        ("[" * 100000, "cannot be used"),
        (" " * (5 << 20), "larger than"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_with_its_flaw(tmp_path, text, cause):
    (tmp_path / "WAR-INF").mkdir()
    if text is not None:
        (tmp_path / "WAR-INF/MANIFEST.json").write_text(text)
    with pytest.raises(InvalidModel, match=cause):
        read_workflow_manifest(tmp_path)
