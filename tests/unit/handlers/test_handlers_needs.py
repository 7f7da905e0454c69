from __future__ import annotations

import json

import pytest

from flambeau.handlers.needs import needed


def test_a_missing_package_is_named_with_the_remedy():
    with pytest.raises(ImportError, match=r"my_handler needs the package no-such.*pip install"):
        needed("no_such_package.part", "my_handler", "no-such")


def test_a_failure_inside_the_package_is_its_own(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import another_missing_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="another_missing_package"):
        needed("broken_package", "my_handler")


def test_what_is_there_is_given():
    assert needed("json", "my_handler") is json
