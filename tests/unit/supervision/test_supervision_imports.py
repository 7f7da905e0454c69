from __future__ import annotations

import pytest

from flambeau.supervision.imports import MOST_FILES, needed_imports


@pytest.fixture
def found(tmp_path):
    """``found({"handler.py": source, ...}, handler="handler.py")``: the modules, sorted."""

    def find(files: dict[str, str | bytes], handler: str = "handler.py") -> list[str]:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return sorted(needed_imports(tmp_path, handler))

    return find


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("", []),
        ("import os, json\nfrom pathlib import Path", []),
        ("import torch", ["torch"]),
        ("import torch.nn.functional as F, numpy", ["numpy", "torch.nn.functional"]),
        ("from torch import nn", ["torch"]),
        ("try:\n    import cv2\nexcept ImportError:\n    import PIL.Image", ["PIL.Image", "cv2"]),
        ("if True:\n    import torch\nclass A:\n    import scipy", ["scipy", "torch"]),
        ("def f():\n    import tensorflow\nasync def g():\n    import jax", []),
        ("f = lambda: __import__('jax')", []),
        ("from . import neighbour\nfrom .. import torch", []),
        ("import ts.context\nfrom ts.metrics.dimension import Dimension", []),
        ("import flambeau.worker, msgspec", []),
        (
            "from ts.torch_handler.base_handler import BaseHandler",
            ["ts.torch_handler.base_handler"],
        ),
        (
            "from ts.torch_handler import base_handler, vision_handler",
            ["ts.torch_handler.base_handler", "ts.torch_handler.vision_handler"],
        ),
    ],
)
def test_libraries_imported_with_the_handler_are_found(found, source, modules):
    assert [module for module in found({"handler.py": source}) if module != "ts.torch_handler"] == (
        modules
    )


def test_the_archives_own_modules_are_followed_and_not_listed(found):
    files = {
        "handler.py": "import own, package.inner\nimport numpy",
        "own.py": "import scipy\nimport handler",
        "package/__init__.py": "import pandas",
        "package/inner.py": "import requests",
    }
    assert found(files) == ["numpy", "requests", "scipy"]


@pytest.mark.parametrize("handler", ["handler.py:f", "handler:f", "handler", "code/handler.py:f"])
def test_every_spelling_of_a_handler_is_understood(found, handler):
    assert found({"handler.py": "import numpy"}, handler) == ["numpy"]


def test_a_shipped_handler_is_preloaded(found):
    assert found({}, "image_classifier") == ["ts.torch_handler.image_classifier"]


def test_a_handler_that_is_a_module_elsewhere_is_preloaded(found):
    assert found({}, "company.handlers") == ["company.handlers"]


@pytest.mark.parametrize("handler", ["", ":f", "/"])
def test_no_handler_needs_nothing(found, handler):
    assert found({}, handler) == []


@pytest.mark.parametrize(
    "source",
    ["import numpy\ndef (", b"\xff\xfe\x00", "\0", "-" * 200_000 + "1", "1+" * 50_000 + "1"],
    ids=["syntax", "encoding", "null", "deep", "long"],
)
def test_a_file_that_cannot_be_parsed_adds_nothing(found, source):
    assert found({"handler.py": source}) == []


def test_a_maze_of_modules_ends(found):
    files = {f"m{n}.py": f"import m{n + 1}" for n in range(MOST_FILES + 50)}
    assert found({"handler.py": "import m0", **files}) == []
