"""The shape of the package in a dozen figures, each with the rule it must keep.

    python tools/shape.py            # the table for src/flambeau, and what breaks a rule
    python tools/shape.py src/ts     # the same for another folder

Reads source text only; imports nothing of what it measures. ``tests/house`` asserts the rules.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

LARGEST_FILE = 400
LONGEST_FUNCTION = 60
FILE_P90 = 250
FUNCTION_P95 = 30

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """One file: its dotted name, text length and syntax tree."""

    name: str
    path: Path
    lines: int
    tree: ast.Module

    def functions(self) -> list[Function]:
        """Every function and method, nested ones included."""
        return [each for each in ast.walk(self.tree) if isinstance(each, Function)]


def read(folder: Path) -> list[Module]:
    """Every module below ``folder``, which is a package."""
    modules = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, path, text.count("\n"), ast.parse(text)))
    return modules


def length(function: Function) -> int:
    """Lines from ``def`` to the last statement, decorators left out."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def percentile(values: list[int], share: float) -> int:
    """The value below which ``share`` of all lie."""
    ordered = sorted(values) or [0]
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def annotated(function: Function) -> bool:
    """Whether the result and every parameter but self and cls have a type."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    missing = [
        each for each in named if each and not each.annotation and each.arg not in {"self", "cls"}
    ]
    return not missing and function.returns is not None


def imports(module: Module) -> set[str]:
    """Dotted names imported when the module runs, function-level imports included.

    Imports under ``if TYPE_CHECKING`` are for readers of types only and cannot make a loop.
    """
    found: set[str] = set()
    waiting: list[ast.AST] = [module.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{each.name}" for each in node.names)
        else:
            waiting += ast.iter_child_nodes(node)
    return found


def loops(modules: list[Module]) -> list[list[str]]:
    """Groups of modules that import each other in a circle."""
    names = {each.name for each in modules}
    edges = {each.name: (imports(each) & names) - {each.name} for each in modules}
    # A package's __init__ that imports nothing is no hop; one that does is an ordinary module.
    reach = {name: reachable(name, edges) for name in names}
    circles = {frozenset(other for other in reach[name] if name in reach[other]) for name in names}
    return sorted(sorted(circle) for circle in circles if circle)


def reachable(start: str, edges: dict[str, set[str]]) -> set[str]:
    """Every module that can be reached from ``start`` in one step or more."""
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += edges[name]
    return seen


def broken_rules(modules: list[Module]) -> list[str]:
    """One sentence per place that breaks a rule."""
    problems = []
    for module in modules:
        if module.lines > LARGEST_FILE:
            problems.append(f"{module.path}: {module.lines} lines, at most {LARGEST_FILE}")
        if not ast.get_docstring(module.tree):
            problems.append(f"{module.path}: no module docstring")
        for each in module.functions():
            if length(each) > LONGEST_FUNCTION:
                problems.append(
                    f"{module.path}:{each.lineno}: {each.name} has {length(each)} lines, at most {LONGEST_FUNCTION}"
                )
            if not annotated(each):
                problems.append(f"{module.path}:{each.lineno}: {each.name} is not fully annotated")
    problems += [f"import loop: {', '.join(circle)}" for circle in loops(modules)]
    return problems


def table(modules: list[Module]) -> str:
    """The figures, one per line, with their rules."""
    functions = [each for module in modules for each in module.functions()]
    sizes = [module.lines for module in modules]
    lengths = [length(each) for each in functions]
    rows = [
        ("modules", len(modules), ""),
        ("lines", sum(sizes), ""),
        ("largest file", max(sizes), f"at most {LARGEST_FILE}"),
        ("file p90", percentile(sizes, 0.9), f"at most {FILE_P90}"),
        ("longest function", max(lengths, default=0), f"at most {LONGEST_FUNCTION}"),
        ("function p95", percentile(lengths, 0.95), f"at most {FUNCTION_P95}"),
        ("annotated functions", f"{sum(map(annotated, functions))}/{len(functions)}", "all"),
        (
            "module docstrings",
            f"{sum(bool(ast.get_docstring(m.tree)) for m in modules)}/{len(modules)}",
            "all",
        ),
        ("import loops", len(loops(modules)), "none"),
        ("folder depth", max(module.name.count(".") for module in modules) - 1, "1"),
    ]
    return "\n".join(f"{name:20} {value!s:>10}   {rule}" for name, value, rule in rows)


def main() -> int:
    """1 when a rule is broken, 2 when there is nothing to measure."""
    folder = Path(
        sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "src" / "flambeau"
    )
    modules = read(folder)
    if not modules:
        print(f"no Python files below {folder}", file=sys.stderr)
        return 2
    print(table(modules))
    problems = broken_rules(modules)
    print("\n".join(["", *problems]) if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
