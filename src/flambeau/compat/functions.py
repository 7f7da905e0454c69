"""Small functions of the original's ``ts.utils.util`` that handlers import.

No state; yaml is imported only by the function that reads it.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flambeau.worker.loading import classes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

P = ParamSpec("P")
R = TypeVar("R")


def list_classes_from_module(module: ModuleType, parent_class: type | None = None) -> list[type]:
    """The classes defined in ``module``, only those of ``parent_class`` if one is given."""
    return classes_of(module, parent_class)


def get_yaml_config(yaml_file_path: str) -> Any:
    """The document in a YAML file."""
    import yaml  # noqa: PLC0415 - a light worker never imports it

    return yaml.safe_load(Path(yaml_file_path).read_text(encoding="utf-8"))


def deprecated(
    version: str, replacement: str = "", klass: type[Warning] = PendingDeprecationWarning
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator whose function warns at each call that it is deprecated since ``version``."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        text = f"{function.__name__} is deprecated in {version}"
        if replacement:
            text += f" and moved to {replacement}"

        @functools.wraps(function)
        def warning(*args: P.args, **kwargs: P.kwargs) -> R:
            warnings.warn(text, klass, stacklevel=2)
            return function(*args, **kwargs)

        return warning

    return decorate


def import_class(class_name: str, module_prefix: str | None = None) -> type:
    """The class of that name, ``package.module.Class`` or ``Class`` in ``module_prefix``.

    Raises ImportError when the module has no such class.
    """
    module_name, _, name = class_name.rpartition(".")
    if module_prefix is not None:
        module_name = f"{module_prefix}.{module_name}" if module_name else module_prefix
    found = getattr(importlib.import_module(module_name), name, None) if module_name else None
    if not isinstance(found, type):
        raise ImportError(  # noqa: TRY004 - what a failed import has always raised here
            f"class:{name} not found in module:{module_name}."
        )
    return found
