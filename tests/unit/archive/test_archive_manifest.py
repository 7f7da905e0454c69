"""MANIFEST.json: what is read, what is refused, what the caller may override."""

import json

import pytest

from flambeau.archive.manifest import Manifest, RuntimeType, read_manifest
from flambeau.errors import BadRequest, InvalidModel


def read(folder, content):
    (folder / "MAR-INF").mkdir(exist_ok=True)
    text = content if isinstance(content, bytes | str) else json.dumps(content)
    path = folder / "MAR-INF/MANIFEST.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_manifest(folder)


def test_a_whole_manifest_is_typed_and_kept_as_written(tmp_path):
    written = {
        "createdOn": "01/01/2026 00:00:00",
        "archiverVersion": "0.12.0",
        "runtime": "python3",
        "description": "d",
        "own": {"key": 1},
        "model": {
            "modelName": "m",
            "modelVersion": "2.0",
            "handler": "h.py:f",
            "serializedFile": "w.pt",
            "modelFile": "m.py",
            "requirementsFile": "r.txt",
            "configFile": "c.yaml",
            "sourceVocab": "v",
            "envelope": "body",
            "extensions": {"a": 1},
            "extra": [1],
        },
    }
    manifest, document = read(tmp_path, written)
    assert document == written
    assert manifest.runtime is RuntimeType.PYTHON3
    assert manifest.model.model_name == "m"
    assert manifest.model.model_version == "2.0"
    assert manifest.model.handler == "h.py:f"
    assert manifest.model.config_file == "c.yaml"


def test_without_a_manifest_there_is_an_empty_python_one(tmp_path):
    manifest, document = read_manifest(tmp_path)
    assert document is None
    assert manifest == Manifest()
    assert manifest.runtime is RuntimeType.PYTHON
    assert manifest.model.model_version == "1.0"
    assert manifest.model.model_name is None


@pytest.mark.parametrize("content", [{}, {"model": None}, {"model": {}}, {"runtime": "python"}])
def test_everything_may_be_absent_but_the_name(tmp_path, content):
    manifest, _ = read(tmp_path, content)
    assert manifest.runtime is RuntimeType.PYTHON
    with pytest.raises(InvalidModel, match=r"^Model name is not defined\.$"):
        manifest.chosen_name()
    assert manifest.chosen_name("given") == "given"


@pytest.mark.parametrize(
    ("version", "text"),
    [("3", "3"), ("1.10", "1.10"), ("1e3", "1e3"), ("true", "true"), ('"x y"', "x y")],
)
def test_a_version_that_is_a_number_stands_for_its_text(tmp_path, version, text):
    manifest, _ = read(tmp_path, f'{{"model": {{"modelVersion": {version}}}}}')
    assert manifest.model.model_version == text


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{not json",
        "[1, 2]",
        '"text"',
        "null",
        b"\xff\xfe{}",
        {"model": "text"},
        {"model": {"modelName": ["m"]}},
        {"createdOn": {}},
        "[" * 100000,
        b" " * (5 << 20),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(tmp_path, content):
    with pytest.raises(InvalidModel, match=r"^Failed to parse signature\.json\.$"):
        read(tmp_path, content)


def test_the_log_says_why_a_manifest_cannot_be_used(tmp_path, caplog):
    with pytest.raises(InvalidModel):
        read(tmp_path, "[1, 2]")
    assert "not an object" in caplog.text
    assert "MANIFEST.json" in caplog.text


def test_a_byte_order_mark_does_no_harm(tmp_path):
    manifest, _ = read(tmp_path, b'\xef\xbb\xbf{"model": {"modelName": "m"}}')
    assert manifest.model.model_name == "m"


@pytest.mark.parametrize("runtime", ["cobol", "PYTHON", "", None, 3, ["python"], {}])
def test_an_unknown_runtime_is_refused_unless_the_request_names_one(tmp_path, runtime):
    manifest, _ = read(tmp_path, {"runtime": runtime, "model": {"modelName": "m"}})
    with pytest.raises(InvalidModel, match=r"^Runtime is not defined or invalid\.$"):
        manifest.chosen_runtime()
    assert manifest.chosen_runtime("LSP") is RuntimeType.LSP


@pytest.mark.parametrize("runtime", ["PYTHON", "cobol", ""])
def test_a_wrong_runtime_in_the_request_is_refused(runtime):
    with pytest.raises(BadRequest, match=f"^Invalid RuntimeType value: {runtime}$"):
        Manifest().chosen_runtime(runtime)


def test_missing_date_and_version_are_only_mentioned(tmp_path, caplog):
    read(tmp_path, {"model": {"modelName": "m"}})
    assert "createdOn" in caplog.text
    assert "archiverVersion" in caplog.text
