from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from flambeau.build import build
from flambeau.cli.flambeau import stays
from flambeau.cli.flambeau_command import cli
from flambeau.cli.mark import PROCESS_MARK
from flambeau.cli.serve import _addresses, _store_of
from flambeau.security.grants import parse_grants

COMMANDS = [
    [],
    ["serve"],
    ["stop"],
    ["check"],
    ["archive"],
    ["models"],
    *(["models", name] for name in ("list", "describe", "register", "scale")),
    *(["models", name] for name in ("unregister", "default")),
    ["token"],
    *(["token", name] for name in ("show", "rotate", "new")),
    ["logs"],
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return lambda *words: CliRunner().invoke(cli, list(words), prog_name="flambeau")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(run, command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: flambeau")
    assert "\\b" not in result.stdout


@pytest.mark.parametrize("command", [[], ["serve"], ["stop"], ["check"], ["archive"], ["models"]])
def test_help_shows_examples_one_a_line(run, command):
    lines = run(*command, "--help").stdout.splitlines()
    start = lines.index("  Examples:")
    assert lines[start + 1].startswith("    flambeau ")


@pytest.mark.parametrize(
    "words",
    [
        ["nothing"],
        ["serve", "--port", "0"],
        ["serve", "--port", "x"],
        ["serve", "--set", "nonsense=1"],
        ["serve", "--set", "snapshots=1"],
        ["check"],
        ["check", "gone.mar"],
        ["archive", "--name", "m"],
        ["models", "scale", "m"],
        ["models", "register"],
        ["token", "rotate", "API"],
        ["token", "new"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_leaves_with_two(run, words):
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["serve"], True),
        (["serve", "m.mar", "--workers", "1"], True),
        (["serve", "--detach"], False),
        (["serve", "--help"], False),
        ([PROCESS_MARK, "serve"], False),
        (["stop"], False),
        ([], False),
    ],
)
def test_only_a_serve_that_stays_becomes_a_marked_process_once(words, expected):
    assert stays(words) is expected


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("flambeau.cli.flambeau", ["click", "flambeau.config"]),
        ("flambeau.cli.serve", ["rich", "requests", "flambeau.cli.check", "flambeau.worker"]),
    ],
)
def test_a_server_carries_nothing_of_the_other_commands(module, unwanted):
    code = f"import sys, {module}; print([each for each in {unwanted} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_names_both(run):
    assert run("--version").stdout == (
        f"flambeau 0.1.0, {build()} (interface of TorchServe 0.12.0)\n"
    )


def test_serving_without_a_model_store_fails_with_one(run):
    result = run("serve")
    assert result.exit_code == 1
    assert result.stderr == "Error: Missing mandatory parameter --model-store\n"


def test_stopping_nothing_fails_with_one(run, tmp_path):
    result = run("stop")
    assert result.exit_code == 1
    assert f"No server is running: {tmp_path}/.model_server.pid names none" in result.stderr


def test_addresses_follow_the_first_port():
    assert _addresses(None, None) == {}
    assert _addresses("0.0.0.0", None) == {
        "inference_address": "http://0.0.0.0:8080",
        "management_address": "http://0.0.0.0:8081",
        "metrics_address": "http://0.0.0.0:8082",
        "grpc_inference_address": "0.0.0.0",
        "grpc_management_address": "0.0.0.0",
    }
    moved = _addresses("::1", 9000)
    assert moved["metrics_address"] == "http://[::1]:9002"
    assert (moved["grpc_inference_port"], moved["grpc_management_port"]) == ("9003", "9004")


def test_the_folder_of_the_archives_is_the_store_when_none_is_named(tmp_path):
    (tmp_path / "a.mar").touch()
    (tmp_path / "b.mar").touch()
    both = (str(tmp_path / "a.mar"), str(tmp_path / "b.mar"))
    assert _store_of(both, None) == (tmp_path, ("a.mar", "b.mar"))
    assert _store_of(("x.mar",), tmp_path) == (tmp_path, ("x.mar",))
    assert _store_of((), None) == (None, ())


def test_archives_of_two_folders_need_a_store(run, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.mar").touch()
    result = run("serve", "one/m.mar", "two/m.mar")
    assert result.exit_code == 1
    assert "--model-store" in result.stderr
    assert "There is no model" in run("serve", "one/gone.mar").stderr


KEYS = {
    "management": {"key": "m-key", "expiration time": "2026-11-22T11:52:26Z"},
    "inference": {"key": "i-key", "expiration time": "2026-11-22T11:52:26Z"},
    "API": {"key": "a-key"},
}


def test_keys_are_shown_as_a_table_alone_and_as_json(run, tmp_path):
    (tmp_path / "key_file.json").write_text(json.dumps(KEYS))
    table = run("token", "show").stdout
    assert all(key in table for key in ("m-key", "i-key", "a-key", "never"))
    assert run("token", "show", "--kind", "inference").stdout == "i-key\n"
    assert json.loads(run("token", "show", "--json").stdout) == KEYS


def test_a_key_file_that_is_not_there_or_broken_is_told(run, tmp_path):
    absent = run("token", "show")
    assert absent.exit_code == 1
    assert "key_file.json cannot be read: No such file or directory" in absent.stderr
    (tmp_path / "key_file.json").write_text("[]")
    assert "is no key file" in run("token", "show").stderr


def test_a_new_key_fits_the_tokens_file_which_never_holds_the_key_itself(run):
    words = ["--name", "ci", "--allow", "read", "--model", "m", "--days", "2", "--json"]
    made = json.loads(run("token", "new", *words).stdout)
    assert made["entry"]["sha256"] == hashlib.sha256(made["key"].encode()).hexdigest()
    assert made["key"] not in json.dumps(made["entry"])
    [credential] = parse_grants(json.dumps([made["entry"]]).encode(), "test")
    assert (credential.name, credential.models) == ("ci", frozenset({"m"}))


def test_two_new_keys_differ(run):
    keys = {json.loads(run("token", "new", "--name", "n", "--json").stdout)["key"] for _ in "ab"}
    assert len(keys) == 2
