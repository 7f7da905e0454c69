"""Every public module and name of the original's ``ts`` package resolves here."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

import ts
from flambeau.worker.context import Context
from flambeau.worker.failures import PredictionException
from flambeau.worker.streaming import send_intermediate_predict_response

HERE = Path(__file__).parent
LINES = [
    line
    for line in (HERE / "ts_names.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
PRESENT = [line.partition(":")[::2] for line in LINES if " absent: " not in line]
ABSENT = [line.partition(" absent: ")[0] for line in LINES if " absent: " in line]

NEEDS = {
    "ts.handler_utils.distributed.deepspeed": {"torch"},
    "ts.handler_utils.distributed.pt_pippy": {"torch"},
    "ts.handler_utils.hf_batch_streamer": {"transformers"},
    "ts.torch_handler.image_classifier": {"torch", "torchvision"},
    "ts.torch_handler.image_segmenter": {"torch", "torchvision"},
    "ts.torch_handler.object_detector": {"torch", "torchvision"},
}
"""Packages of others that a module cannot be imported without; other default handlers: torch."""


def needs(module: str) -> set[str]:
    if module in NEEDS:
        return NEEDS[module]
    parts = module.split(".")
    if parts[1:2] == ["torch_handler"] and len(parts) > 2:
        if module in ("ts.torch_handler.contractions", "ts.torch_handler.distributed"):
            return set()
        return set() if parts[2] in ("request_envelope", "unit_tests") else {"torch"}
    return set()


@pytest.mark.parametrize(("module", "names"), PRESENT, ids=[module for module, _ in PRESENT])
def test_every_name_of_the_original_resolves(module, names, monkeypatch):
    # A submodule is a name of its package only once someone imported it: nobody else may have.
    for known in [name for name in sys.modules if name.partition(".")[0] == "ts"]:
        monkeypatch.delitem(sys.modules, known)
    missing = {name for name in needs(module) if importlib.util.find_spec(name) is None}
    if missing:
        with pytest.raises(ImportError) as caught:
            importlib.import_module(module)
        assert any(name in str(caught.value) for name in missing)
        return
    found = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(found, name)] == []


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_said_to_be_absent_is_absent(name):
    parent, _, last = name.rpartition(".")
    try:
        found = importlib.import_module(name)
    except ModuleNotFoundError:
        try:
            found = getattr(importlib.import_module(parent), last, None)
        except ModuleNotFoundError:
            found = None
    assert found is None


@pytest.mark.parametrize(
    "path",
    sorted(Path(ts.__file__).parent.rglob("*.py")),
    ids=lambda path: str(path.relative_to(Path(ts.__file__).parent)),
)
def test_the_package_holds_no_logic(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body[1:]:
        is_main = isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
        renames = isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
        assert isinstance(node, ast.ImportFrom) or is_main or renames, ast.unparse(node)


def test_the_version_is_the_one_people_parse():
    assert ts.__version__ == "0.12.0"
    text = (Path(ts.__file__).parent / "version.txt").read_text(encoding="utf-8")
    assert text.strip() == ts.__version__


def test_names_are_the_very_objects_workers_use():
    assert importlib.import_module("ts.context").Context is Context
    assert importlib.import_module("ts.utils.util").PredictionException is PredictionException
    for module in ("ts.handler_utils.utils", "ts.protocol.otf_message_handler"):
        found = importlib.import_module(module).send_intermediate_predict_response
        assert found is send_intermediate_predict_response
