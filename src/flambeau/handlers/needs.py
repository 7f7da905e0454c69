"""Packages a default handler needs and flambeau does not install."""

from __future__ import annotations

import importlib
from typing import Any


def needed(module: str, handler: str, package: str = "") -> Any:
    """The module, imported.

    Raises ImportError that names the package, who needs it and what to do.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name not in (module, top):
            raise
        name = package or top
        raise ImportError(
            f"{handler} needs the package {name}, which is not installed here. Install it for the "
            f"worker's Python (pip install {name}) or name it in the archive's requirements.txt "
            "and set install_py_dep_per_model=true.",
            name=top,
        ) from error
