from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ECHO = """
class Echo:
    def initialize(self, context):
        self.batch = context.system_properties["batch_size"]

    def handle(self, data, context):
        print("seen by the handler")
        return [{"type": type(row["body"]).__name__, "batch": self.batch} for row in data]
"""


@pytest.fixture
def check(tmp_path):
    """``check("m.mar", ...)`` runs the real command in ``tmp_path`` and gives its result."""

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "flambeau", "check", *words],
            cwd=tmp_path,
            env=os.environ | {"TMPDIR": str(tmp_path), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def test_a_good_archive_is_run_on_the_given_input_and_leaves_nothing(check, pack, tmp_path):
    archive = pack("echo.mar", {"echo.py": ECHO}, handler="echo.py")
    result = check(str(archive), "--data", '{"a": 1}')
    assert result.returncode == 0, result.stderr
    assert "Loaded class Echo of echo.py in" in result.stdout
    assert '"type": "dict"' in result.stdout
    assert "seen by the handler" in result.stdout
    assert result.stdout.endswith("The archive works.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["archives"]


def test_json_is_clean_even_when_the_handler_prints(check, pack):
    archive = pack("echo.mar", {"echo.py": ECHO}, handler="echo.py", version="2.1")
    result = check(str(archive), "--data", "plain", "--json")
    found = json.loads(result.stdout)
    assert found["good"] is True
    assert found["manifest"]["model"]["modelVersion"] == "2.1"
    [sample] = found["samples"]
    assert sample["input"] == {"origin": "--data", "contentType": "text/plain", "size": 5}
    assert sample["output"]["status"] == 200
    assert json.loads(sample["output"]["text"]) == {"type": "str", "batch": 1}
    assert "seen by the handler" in result.stderr


def test_the_archive_may_bring_its_examples(check, pack):
    files = {"echo.py": ECHO, "examples/one.txt": "1", "examples/two.json": "[2]"}
    archive = pack("echo.mar", files, handler="echo.py", config="batchSize: 2\nexample: {x: 1}\n")
    found = json.loads(check(str(archive), "--json").stdout)
    assert [one["input"]["origin"] for one in found["samples"]] == [
        "key example of the model config",
        "examples/one.txt",
        "examples/two.json",
    ]
    assert found["batchOfTwo"] is True


def test_the_example_key_may_name_a_file_of_the_archive_but_none_outside(check, pack, tmp_path):
    (tmp_path / "secret.txt").write_text("outside")
    files = {"echo.py": ECHO, "in.json": "[1]"}
    inside = pack("a.mar", files, handler="echo.py", config="example: in.json\n")
    outside = pack("b.mar", files, handler="echo.py", config=f"example: {tmp_path}/secret.txt\n")
    [one] = json.loads(check(str(inside), "--json").stdout)["samples"]
    assert one["input"] == {"origin": "in.json", "contentType": "application/json", "size": 3}
    [other] = json.loads(check(str(outside), "--json").stdout)["samples"]
    assert other["input"]["size"] == len(f"{tmp_path}/secret.txt")


def test_without_an_example_the_loading_alone_is_judged(check, pack):
    result = check(str(pack("echo.mar", {"echo.py": ECHO}, handler="echo.py")))
    assert result.returncode == 0
    assert "nothing was sent to it" in result.stdout


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def handle(data, context):\n  raise SystemExit(3)", "SystemExit: 3"),
        ("class A: pass\nclass B: pass", "ValueError: Expected only one class"),
        ("x = ", "SyntaxError: invalid syntax"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_told_with_its_cause(check, pack, source, cause):
    result = check(str(pack("bad.mar", {"bad.py": source}, handler="bad.py")))
    assert result.returncode == 1
    assert f"FAILED to load: {cause}" in result.stdout
    assert result.stdout.endswith("The archive does not work.\n")


def test_the_place_of_the_failure_is_named(check, pack):
    source = "def handle(data, context):\n    return data[0]\n"
    found = json.loads(check(str(pack("b.mar", {"b.py": source}, handler="b")), "--json").stdout)
    assert found["failure"]["cause"].startswith("TypeError")
    assert found["failure"]["where"] == "b.py:2"


@pytest.mark.parametrize(
    "body", ["raise RuntimeError('no')", "return 3", "return []", "return [object()]"]
)
def test_a_handler_that_does_not_answer_well_fails_the_check(check, pack, body):
    source = f"def handle(data, context):\n  if data is None: return\n  {body}\n"
    result = check(str(pack("b.mar", {"b.py": source}, handler="b")), "--data", "1")
    assert result.returncode == 1
    assert "failed 503" in result.stdout


def test_a_handler_that_answers_only_one_of_a_batch_fails_the_check(check, pack):
    source = "def handle(data, context):\n  return None if data is None else ['one']\n"
    archive = pack("b.mar", {"b.py": source}, handler="b", config="batchSize: 8")
    result = check(str(archive), "--data", "1")
    assert result.returncode == 1
    assert "A batch of two FAILED." in result.stdout


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut"])
def test_a_broken_archive_is_told_in_one_line(check, tmp_path, content):
    (tmp_path / "x.mar").write_bytes(content)
    result = check("x.mar")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: x.mar: Failed to save model: x.mar")
    assert len(result.stderr.splitlines()) == 1


def test_what_the_archive_lacks_is_warned_of(check, pack):
    archive = pack(
        "e.mar",
        {"echo.py": ECHO, "requirements.txt": "# needs\nno-such-package-here>=2\nmsgspec\n"},
        handler="echo.py",
        config="batchsize: 4",
        model={"requirementsFile": "requirements.txt", "serializedFile": "gone.pt"},
    )
    warnings = json.loads(check(str(archive), "--json").stdout)["warnings"]
    assert warnings == [
        "the serialized file gone.pt named by the manifest is not in the archive",
        "model config: batchsize is no key of the server; did you mean batchSize?",
        "requirements not installed here: no-such-package-here",
    ]


def test_an_archive_that_a_server_would_refuse_is_warned_of(check, pack):
    archive = pack("e.mar", {"echo.py": ECHO}, handler="echo.py", config="useVenv: true")
    warnings = json.loads(check(str(archive), "--json").stdout)["warnings"]
    refusal = "model-config.yaml asks for useVenv, which this server cannot do."
    assert warnings == [f"{refusal} Remove it to serve the model without."]


def test_a_folder_and_another_handler_can_be_checked(check, tmp_path):
    folder = tmp_path / "unpacked" / "only"
    folder.mkdir(parents=True)
    (folder / "echo.py").write_text(ECHO)
    (tmp_path / "in.txt").write_text("hello")
    result = check("unpacked", "--handler", "echo.py", "--input", "in.txt")
    assert result.returncode == 0, result.stderr
    assert "Warning: there is no MAR-INF/MANIFEST.json" in result.stdout


def test_a_stream_is_shown_with_its_pieces(check, pack):
    source = """
from flambeau.worker.streaming import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return
    for number in range(3):
        send_intermediate_predict_response(
            [f"{number},"], context.request_ids, "piece", 200, context
        )
    return ["end"]
"""
    archive = pack("s.mar", {"s.py": source}, handler="s:handle")
    [sample] = json.loads(check(str(archive), "--data", "1", "--json").stdout)["samples"]
    assert sample["output"]["pieces"] == 4
    assert sample["output"]["text"] == "0,1,2,end"


def test_an_answer_larger_than_the_socket_buffer_is_collected(check, pack):
    source = "def handle(data, context):\n  return None if data is None else [b'x' * 6_000_000]\n"
    archive = pack("big.mar", {"big.py": source}, handler="big")
    [sample] = json.loads(check(str(archive), "--data", "1", "--json").stdout)["samples"]
    assert sample["output"]["size"] == 6_000_000
