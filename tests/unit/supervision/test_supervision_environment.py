from __future__ import annotations

from pathlib import Path

import pytest

from flambeau.supervision.environment import EnvironmentRule

SERVER = {"HOME": "/root", "SECRET_KEY": "x", "SECRET": "y", "PATH": "/bin"}


@pytest.mark.parametrize(
    ("hidden", "left"),
    [
        ("", {"HOME", "SECRET_KEY", "SECRET", "PATH"}),
        ("SECRET", {"HOME", "SECRET_KEY", "PATH"}),
        ("SECRET.*", {"HOME", "PATH"}),
        (".*SECRET.*|HOME", {"PATH"}),
        ("secret", {"HOME", "SECRET_KEY", "SECRET", "PATH"}),
        (".*", set()),
    ],
)
def test_names_are_hidden_when_they_match_in_full(hidden, left):
    assert set(EnvironmentRule(hidden, SERVER).inherited()) == left


def test_the_servers_own_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("FLAMBEAU_TEST_NAME", "here")
    assert EnvironmentRule().inherited()["FLAMBEAU_TEST_NAME"] == "here"


def test_the_rule_is_a_copy_of_what_was():
    server = {"A": "1"}
    rule = EnvironmentRule("", server)
    server["A"] = "2"
    assert rule.inherited() == {"A": "1"}


def test_a_broken_expression_names_the_setting():
    with pytest.raises(ValueError, match="blacklist_env_vars: '\\(' is no regular expression"):
        EnvironmentRule("(")


@pytest.mark.parametrize(
    ("handler", "server", "path"),
    [
        ("handler.py", {}, ["{dir}"]),
        ("handler.py:handle", {"PYTHONPATH": "/a:/b"}, ["/a:/b", "{dir}"]),
        ("code/handler.py:handle", {"PYTHONPATH": "/a"}, ["code", "/a", "{dir}"]),
        ("a/b/handler.py", {"PYTHONPATH": ""}, ["a/b", "{dir}"]),
    ],
)
def test_the_import_path_of_a_model(tmp_path, handler, server, path):
    got = EnvironmentRule("", server).for_model(tmp_path, handler, {"TS_X": "1"})
    assert got == {
        "PYTHONPATH": ":".join(path).format(dir=tmp_path.resolve()),
        "TS_X": "1",
    }


def test_a_linked_model_also_has_the_folder_above_the_link(tmp_path):
    real, above = tmp_path / "real", tmp_path / "links"
    real.mkdir()
    above.mkdir()
    link = above / "model"
    link.symlink_to(real)
    got = EnvironmentRule("", {}).for_model(link, "h.py", {})
    assert got["PYTHONPATH"] == f"{real.resolve()}:{above}"


def test_names_the_server_makes_are_hidden_too():
    rule = EnvironmentRule("PYTHONPATH|TS_.*", {})
    assert rule.for_model(Path("/m"), "h.py", {"TS_A": "1", "B": "2"}) == {"B": "2"}
