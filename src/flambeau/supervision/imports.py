"""What a handler will import, found without running it.

Workers are forked from a process that has imported these modules already, so that the second
worker of a model starts in milliseconds and shares the memory of its libraries. Only the imports
of libraries are looked for: the archive's own modules run in each worker, as their authors
expect.
"""

from __future__ import annotations

import ast
import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flambeau.supervision.launcher import WorkerCommand

LIGHT = frozenset({"ts", "flambeau", "msgspec"})
"""Top-level packages that cost nothing to import; they do not tell two templates apart."""
HANDLERS = "ts.torch_handler."
MOST_FILES = 200
MOST_KEPT = 256
"""Handlers whose imports are remembered."""


class FoundImports:
    """What handlers import, looked for once for all workers of a version, off the event loop.

    An archive that is changed in its place is remembered as it was: what is then not imported
    ahead, each of its workers imports itself.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[Path, str], asyncio.Task[frozenset[str]]] = {}

    async def of(self, command: WorkerCommand) -> frozenset[str]:
        """The modules to import before ``command`` is carried out."""
        key = (command.model_dir, command.handler)
        found = self._found.get(key)
        if found is None:
            while len(self._found) >= MOST_KEPT:
                del self._found[next(iter(self._found))]
            found = self._found[key] = asyncio.create_task(asyncio.to_thread(needed_imports, *key))
        # Shared: one launch that is cancelled must not end the search for the others.
        return await asyncio.shield(found)


def needed_imports(model_dir: Path, handler: str) -> frozenset[str]:
    """Third-party modules that ``handler`` in ``model_dir`` imports at the top level of its files.

    Follows the archive's own modules. A file that cannot be parsed adds nothing: the worker will
    report it better.
    """
    name = handler.partition(":")[0].removesuffix(".py").rpartition("/")[2]
    if not name:
        return frozenset()
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting and len(seen) < MOST_FILES:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        file = _file_of(model_dir, module)
        if file is None:
            if module == name and "." not in module:
                found.add(HANDLERS + module)
            else:
                _keep(module, found)
            continue
        waiting.extend(_imports(file))
    return frozenset(found)


def _keep(module: str, found: set[str]) -> None:
    top = module.partition(".")[0]
    heavy = top not in sys.stdlib_module_names and top not in LIGHT
    if heavy or module.startswith(HANDLERS):
        found.add(module)


def _file_of(model_dir: Path, module: str) -> Path | None:
    """The file of a module that lies in the archive."""
    path = model_dir.joinpath(*module.split("."))
    for file in (path.with_name(path.name + ".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _imports(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return  # the last two: nested too deeply for the parser
    for node in _run_at_import(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == HANDLERS.rstrip("."):
                for alias in node.names:
                    yield HANDLERS + alias.name


def _run_at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: all but the bodies of its functions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))
