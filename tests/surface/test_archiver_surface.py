"""Every public name of the two archiver packages is there and is ours.

``archiver_names.txt`` lists, per module, the names of torch-model-archiver 0.12.0 and
torch-workflow-archiver 0.2.15.
"""

import ast
import importlib
from argparse import Namespace
from pathlib import Path

import pytest

import model_archiver
import workflow_archiver
from model_archiver.arg_parser import ArgParser
from model_archiver.manifest_components.manifest import Manifest, RuntimeType
from model_archiver.manifest_components.model import Model
from model_archiver.model_archiver_error import ModelArchiverError
from model_archiver.model_packaging import generate_model_archive, package_model
from model_archiver.model_packaging_utils import ModelExportUtils as Steps
from workflow_archiver.arg_parser import ArgParser as WorkflowArgParser
from workflow_archiver.workflow_packaging import WorkflowExportUtils as WorkflowSteps
from workflow_archiver.workflow_packaging import package_workflow

LISTED = [
    line.split() for line in Path(__file__).with_name("archiver_names.txt").read_text().splitlines()
]
NAMES = [(module, name) for module, *names in LISTED for name in names]
# Inside the modules they name, both packages import their own version; nobody reads it there.
INNER = {
    ("model_archiver.manifest_components.manifest", "__version__"),
    ("workflow_archiver.manifest_components.manifest", "__version__"),
}


@pytest.mark.parametrize("module", [module for module, *_ in LISTED])
def test_every_module_is_there(module):
    importlib.import_module(module)


@pytest.mark.parametrize(("module", "name"), [pair for pair in NAMES if pair not in INNER])
def test_every_name_is_there(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_a_name_is_the_same_object_wherever_it_is_imported_from():
    found = {}
    for module, name in NAMES:
        if (module, name) in INNER:
            continue
        top = module.split(".")[0]
        value = getattr(importlib.import_module(module), name)
        assert found.setdefault((top, name), value) is value


@pytest.mark.parametrize(
    "path",
    [
        path
        for package in (model_archiver, workflow_archiver)
        for path in Path(package.__file__).parent.rglob("*.py")
    ],
    ids=lambda path: str(path.relative_to(path.parents[1])),
)
def test_the_packages_hold_no_logic(path):
    for node in ast.parse(path.read_text()).body:
        assert isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign | ast.If)
        if isinstance(node, ast.If):
            assert ast.unparse(node.test) == "__name__ == '__main__'"


def test_the_versions_are_those_of_the_archives_format():
    assert model_archiver.__version__ == "0.12.0"
    assert workflow_archiver.__version__ == "0.2.15"


@pytest.fixture
def handler(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("h.py").write_text("x")
    Path("w.yaml").write_text("dag: {}")
    return tmp_path


def test_a_model_is_packed_from_a_configuration(handler):
    config = model_archiver.ModelArchiverConfig("m", "h.py", "1.0", export_path=str(handler))
    model_archiver.ModelArchiver.generate_model_archive(config)
    assert (handler / "m.mar").is_file()

    with pytest.raises(ModelArchiverError, match="already exists"):
        generate_model_archive(config)


def test_a_model_is_packed_from_a_namespace_and_a_manifest_of_ones_own(handler):

    flags = Namespace(
        model_name="m",
        handler="h.py",
        version="1",
        serialized_file=None,
        model_file=None,
        extra_files=None,
        runtime="python",
        export_path=str(handler),
        archive_format="no-archive",
        force=False,
        requirements_file=None,
        config_file=None,
    )
    config = model_archiver.ModelArchiverConfig.from_args(flags)
    manifest = Steps.generate_manifest_json(config)
    package_model(config, manifest)
    assert (handler / "m/MAR-INF/MANIFEST.json").read_text() == manifest


def test_the_flags_become_a_configuration(monkeypatch):

    monkeypatch.setattr("sys.argv", ["x", "--model-name=m", "--handler=h", "-v=2", "-f"])
    config = ArgParser.export_model_args_parser()
    assert (config.model_name, config.handler, config.version, config.force) == (
        "m",
        "h",
        "2",
        True,
    )


@pytest.mark.parametrize("archive_format", ["default", "tgz", "no-archive"])
def test_a_model_is_packed_step_by_step(handler, archive_format):

    Steps.validate_inputs("m", ".")
    folder = Steps.check_mar_already_exists("m", None, False, archive_format)
    assert folder == str(handler)
    staged = Steps.copy_artifacts("m", "python", handler="h.py:f", extra_files="w.yaml")
    assert sorted(path.name for path in Path(staged).iterdir()) == ["h.py", "w.yaml"]
    manifest = Manifest(RuntimeType.PYTHON.value, Model("m", None, "h.py", extensions={"a": 1}))
    Steps.archive(folder, "m", staged, str(manifest), archive_format)
    assert Path(Steps.get_archive_export_path(folder, "m", archive_format)).exists()
    assert manifest.manifest_dict["model"]["extensions"] == {"a": 1}


def test_the_steps_refuse_what_packing_refuses(handler):

    for steps in (Steps, WorkflowSteps):
        with pytest.raises(ModelArchiverError):
            steps.validate_inputs("a b", ".")
        with pytest.raises(ModelArchiverError):
            steps.validate_inputs("a", "absent")
        assert not steps.directory_filter(".git", set())
        assert not steps.directory_filter("x", {"x"})
        assert not steps.file_filter("MANIFEST.json", set())
        assert not steps.file_filter("x.pyc", set())
        assert steps.file_filter("x.py", set())
    assert Steps.find_unique(["a.pt", "b.py"], ".pt") == "a.pt"
    assert Steps.find_unique([], ".pt") is None
    with pytest.raises(ModelArchiverError):
        Steps.find_unique(["a.pt", "b.pt"], ".pt")


def test_a_workflow_is_packed_step_by_step(handler):

    flags = WorkflowArgParser.workflow_archiver_args_parser().parse_args(
        ["--workflow-name", "w", "--spec-file", "w.yaml", "--handler", "h.py"]
    )
    flags.export_path = str(handler)
    package_workflow(flags, WorkflowSteps.generate_manifest_json(flags))
    assert (handler / "w.war").is_file()
    with pytest.raises(SystemExit) as ended:
        package_workflow(flags, "{}")
    assert ended.value.code == 1
    staged = WorkflowSteps.copy_artifacts("w2", ["w.yaml", "h.py", None])
    WorkflowSteps.archive(str(handler), "w2", staged, WorkflowSteps.generate_manifest_json(flags))
    assert (handler / "w2.war").is_file()
