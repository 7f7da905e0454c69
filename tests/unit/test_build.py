"""Which build runs is told by where the modules of the hot path come from."""

from __future__ import annotations

import flambeau.http.head
from flambeau.build import build


def test_the_build_is_compiled_where_the_hot_path_is_no_python_file() -> None:
    pure = flambeau.http.head.__file__.endswith(".py")
    assert build() == ("pure Python" if pure else "compiled")
