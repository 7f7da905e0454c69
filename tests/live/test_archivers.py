"""The archiver commands as a person types them.

What each writes was recorded from torch-model-archiver 0.12.0 and torch-workflow-archiver 0.2.15.
With ORIGINAL_ARCHIVERS set to the folder of their commands, both are run side by side.
"""

import json
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

ORIGINAL = os.environ.get("ORIGINAL_ARCHIVERS")
MODEL = [sys.executable, "-m", "flambeau.cli.model_archiver"]
WORKFLOW = [sys.executable, "-m", "flambeau.cli.workflow_archiver"]
REQUIRED = ["--model-name", "m", "--version", "1.0", "--export-path", "out"]


@pytest.fixture
def work(tmp_path):
    files = {
        "h.py": "x = 1",
        "w.pt": "weights",
        "m.py": "y = 1",
        "r.txt": "numpy",
        "c.yaml": "batchSize: 2",
        "k.txt": "k",
        "wf.yaml": "dag: {}",
        "d/x.txt": "x",
        "d/.hidden": "h",
        "d/sub/y.txt": "y",
        "d/sub/.git/z": "z",
        "d/__pycache__/c.pyc": "c",
        "deep/er/n.py": "n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for folder in ("out", "theirs"):
        (tmp_path / folder).mkdir()
    return tmp_path


def run(command, arguments, folder):
    environment = os.environ | {"TMPDIR": str(folder / "theirs")}
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def packed(path):
    """Names to contents, the manifest decoded and without its date."""
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        found = {str(file.relative_to(path)): file.read_bytes() for file in files}
    elif path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            found = {name: archive.extractfile(name).read() for name in archive.getnames()}
    else:
        with zipfile.ZipFile(path) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
    for name in found:
        if name.endswith("MANIFEST.json"):
            manifest = json.loads(found[name])
            assert len(manifest.pop("createdOn")) == len("01/01/2026 00:00:00")
            found[name] = manifest
    return found


def entry(**changes):
    return {"modelName": "m", "handler": "h.py", "modelVersion": "1.0"} | changes


CASES = {
    "plain": (["--handler", "h.py"], "m.mar", ["h.py"], entry()),
    "no suffix": (["--handler", "h"], "m.mar", ["h.py"], entry(handler="h")),
    "function": (["--handler", "h:f"], "m.mar", ["h.py"], entry(handler="h:f")),
    "folder": (["--handler", "deep/er/n:f"], "m.mar", ["n.py"], entry(handler="n:f")),
    "built in": (["--handler", "base_handler"], "m.mar", [], entry(handler="base_handler")),
    "everything": (
        [
            *("--handler", "h.py", "--serialized-file", "w.pt", "--model-file", "m.py"),
            *("-r", "r.txt", "-c", "c.yaml", "--extra-files", "k.txt,d", "--runtime", "python3"),
        ],
        "m.mar",
        ["h.py", "w.pt", "m.py", "r.txt", "c.yaml", "k.txt", "x.txt", ".hidden", "sub/y.txt"],
        entry(
            serializedFile="w.pt", modelFile="m.py", requirementsFile="r.txt", configFile="c.yaml"
        ),
    ),
    "wildcard": (
        ["--handler", "h.py", "--extra-files", "*.txt"],
        "m.mar",
        ["h.py", "k.txt", "r.txt"],
        entry(),
    ),
    "stored": (["--handler", "h.py", "--archive-format", "zip-store"], "m.mar", ["h.py"], entry()),
    "tar": (["--handler", "h.py", "--archive-format", "tgz"], "m.tar.gz", ["m/h.py"], entry()),
    "open": (["--handler", "h.py", "--archive-format", "no-archive"], "m", ["h.py"], entry()),
}


@pytest.mark.parametrize("case", CASES)
def test_an_archive_holds_what_the_original_command_puts_in(work, case):
    arguments, file, names, model = CASES[case]
    done = run(MODEL, [*REQUIRED, *arguments], work)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = packed(work / "out" / file)
    manifest = found.pop(
        "m/MAR-INF/MANIFEST.json" if file == "m.tar.gz" else "MAR-INF/MANIFEST.json"
    )
    assert sorted(found) == sorted(names)
    assert manifest["model"] == model
    assert manifest["archiverVersion"] == "0.12.0"
    assert listed(work / "out") == [file]


@pytest.mark.skipif(not ORIGINAL, reason="ORIGINAL_ARCHIVERS names no folder")
@pytest.mark.parametrize("case", CASES)
def test_both_commands_write_the_same(work, case):
    arguments, file, *_ = CASES[case]
    assert run(MODEL, [*REQUIRED, *arguments], work).returncode == 0
    ours = packed(work / "out" / file)
    theirs = run([f"{ORIGINAL}/torch-model-archiver"], [*REQUIRED, *arguments, "--force"], work)
    assert theirs.returncode == 0, theirs.stderr
    assert packed(work / "out" / file) == ours


def test_a_handler_with_suffix_and_function_works(work):
    done = run(MODEL, [*REQUIRED, "--handler", "deep/er/n.py:f"], work)
    assert done.returncode == 0
    found = packed(work / "out/m.mar")
    assert found["MAR-INF/MANIFEST.json"]["model"]["handler"] == "n.py:f"
    assert "n.py" in found


HANDLER = ["--handler", "h.py"]
FAILURES = {
    "no handler": (REQUIRED, 2, "--handler"),
    "no version": (["--model-name", "m", *HANDLER], 2, "-v/--version"),
    "no name": (["-v", "1", *HANDLER], 2, "--model-name"),
    "runtime": ([*REQUIRED, *HANDLER, "--runtime", "cobol"], 2, "invalid choice: 'cobol'"),
    "format": ([*REQUIRED, *HANDLER, "--archive-format", "rar"], 2, "invalid choice: 'rar'"),
    "unknown flag": ([*REQUIRED, *HANDLER, "--colour"], 2, "unrecognized arguments: --colour"),
    "name": (["--model-name", "m/x", "-v", "1", *HANDLER], 1, "'m/x' is not allowed"),
    "export path": ([*REQUIRED[:4], *HANDLER, "--export-path", "no"], 1, "'no' is not a directory"),
    "handler": ([*REQUIRED, "--handler", "no.py"], 1, "File does not exist: no.py"),
    "weights": ([*REQUIRED, *HANDLER, "--serialized-file", "no.pt"], 1, "not exist: no.pt"),
    "extra file": ([*REQUIRED, *HANDLER, "--extra-files", "k.txt,no"], 1, "not exist: no"),
    "library": (
        [*REQUIRED, "--handler", "no:C", "--runtime", "LSP"],
        1,
        "File does not exist: no.",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_mistake_ends_with_its_exit_code_and_one_clear_line(work, case):
    arguments, code, text = FAILURES[case]
    done = run(MODEL, arguments, work)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert listed(work / "out") == []


@pytest.mark.skipif(not ORIGINAL, reason="ORIGINAL_ARCHIVERS names no folder")
@pytest.mark.parametrize("case", FAILURES)
def test_both_commands_end_with_the_same_exit_code(work, case):
    arguments, code, _ = FAILURES[case]
    assert run([f"{ORIGINAL}/torch-model-archiver"], arguments, work).returncode == code


def test_an_existing_archive_needs_force(work):
    arguments = [*REQUIRED, *HANDLER]
    assert run(MODEL, arguments, work).returncode == 0
    again = run(MODEL, arguments, work)
    assert again.returncode == 1
    assert again.stderr == "ERROR - out/m.mar already exists; give --force (-f) to overwrite it\n"
    forced = run(MODEL, [*arguments, "-f"], work)
    assert (forced.returncode, forced.stderr) == (0, "WARNING - Overwriting out/m.mar ...\n")


def test_the_archive_goes_to_the_current_folder_unless_told_otherwise(work):
    assert run(MODEL, ["--model-name", "m", "-v", "1", *HANDLER], work).returncode == 0
    assert (work / "m.mar").is_file()


def test_an_archive_named_like_a_folder_never_removes_it(work):
    (work / "out/m.mar").mkdir()
    (work / "out/m.mar/precious").write_text("mine")
    done = run(MODEL, [*REQUIRED, *HANDLER, "-f"], work)
    assert done.returncode == 1
    assert (work / "out/m.mar/precious").read_text() == "mine"


WORKFLOW_FLAGS = ["--workflow-name", "w", "--spec-file", "wf.yaml", "--export-path", "out"]


def test_a_workflow_holds_what_the_original_command_puts_in(work):
    arguments = [*WORKFLOW_FLAGS, *HANDLER, "--extra-files", "k.txt,r.txt"]
    done = run(WORKFLOW, arguments, work)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = packed(work / "out/w.war")
    assert found.pop("WAR-INF/MANIFEST.json") == {
        "workflow": {"workflowName": "w", "specFile": "wf.yaml", "handler": "h.py"},
        "archiverVersion": "0.2.15",
    }
    assert sorted(found) == ["h.py", "k.txt", "r.txt", "wf.yaml"]


@pytest.mark.skipif(not ORIGINAL, reason="ORIGINAL_ARCHIVERS names no folder")
def test_both_workflow_commands_write_the_same(work):
    arguments = [*WORKFLOW_FLAGS, *HANDLER, "--extra-files", "k.txt,r.txt", "-f"]
    assert run(WORKFLOW, arguments, work).returncode == 0
    ours = packed(work / "out/w.war")
    assert run([f"{ORIGINAL}/torch-workflow-archiver"], arguments, work).returncode == 0
    assert packed(work / "out/w.war") == ours


def test_a_workflow_without_functions_needs_no_handler(work):
    done = run(WORKFLOW, WORKFLOW_FLAGS, work)
    assert (done.returncode, done.stderr) == (0, "")
    manifest = packed(work / "out/w.war")["WAR-INF/MANIFEST.json"]
    assert manifest["workflow"] == {"workflowName": "w", "specFile": "wf.yaml"}


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (WORKFLOW_FLAGS[2:], 2, "--workflow-name"),
        (WORKFLOW_FLAGS[:2], 2, "--spec-file"),
        (["--workflow-name", "w x", "--spec-file", "wf.yaml"], 1, "'w x' is not allowed"),
        (["--workflow-name", "w", "--spec-file", "no.yaml"], 1, "File does not exist: no.yaml"),
        ([*WORKFLOW_FLAGS[:4], "--export-path", "no"], 1, "'no' is not a directory"),
    ],
)
def test_a_mistake_in_a_workflow_ends_with_one_clear_line(work, arguments, code, text):
    done = run(WORKFLOW, arguments, work)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_an_existing_workflow_needs_force(work):
    assert run(WORKFLOW, WORKFLOW_FLAGS, work).returncode == 0
    assert run(WORKFLOW, WORKFLOW_FLAGS, work).returncode == 1
    assert run(WORKFLOW, [*WORKFLOW_FLAGS, "-f"], work).returncode == 0


@pytest.mark.parametrize(
    ("package", "flags"),
    [
        ("model_archiver.model_packaging", [*REQUIRED, *HANDLER]),
        ("workflow_archiver.workflow_packaging", [*WORKFLOW_FLAGS, *HANDLER]),
    ],
)
def test_the_packages_run_as_commands(work, package, flags):
    done = run([sys.executable, "-m", package], flags, work)
    assert done.returncode == 0, done.stderr
    assert len(list((work / "out").iterdir())) == 1


def test_help_shows_every_flag_and_an_example(work):
    shown = run(MODEL, ["--help"], work).stdout
    for flag in (
        *("--model-name", "--serialized-file", "--model-file", "--handler", "--extra-files"),
        *("--runtime", "--export-path", "--archive-format", "--force", "--version"),
        *("--requirements-file", "--config-file", "examples:"),
    ):
        assert flag in shown
    assert "examples:" in run(WORKFLOW, ["--help"], work).stdout


def test_the_commands_start_without_the_server(work):
    code = "import sys, flambeau.cli.model_archiver; print(sorted(sys.modules))"
    loaded = run([sys.executable, "-c", code], [], work).stdout
    for name in ("'requests'", "'asyncio'", "'flambeau.server'", "'yaml'"):
        assert name not in loaded
