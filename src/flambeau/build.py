"""Which build runs: the sources as they are, or with the modules of the hot path compiled by mypyc.

Both are made of the same files; what is compiled stands in ``pyproject.toml``, hook ``mypyc``.
"""

from __future__ import annotations

import importlib.util

A_COMPILED_MODULE = "flambeau.http.head"


def build() -> str:
    """``compiled`` or ``pure Python``."""
    found = importlib.util.find_spec(A_COMPILED_MODULE)
    assert found is not None
    assert found.origin is not None
    return "pure Python" if found.origin.endswith(".py") else "compiled"
