"""A Protocol is there because several things keep it; a single one is named itself."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Where only one thing keeps it, and yet it cannot be named.
ALONE = {
    "Description": "protobuf has two types for it, of which one is private",
    "Translation": "rest.route may not import the modules of its endpoints",
    "RecordedValue": "metrics and transport do not know each other",
    "Copies": "logs.outlet is below logs.logs, which makes it",
}
# Kept by types of the standard library and of clients of S3 too.
ELSEWHERE = {"Readable"}


def classes(folder: str) -> list[ast.ClassDef]:
    return [
        node
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not path.name.endswith("_pb2.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]


def is_protocol(one: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in one.bases)


def members(one: ast.ClassDef, known: dict[str, ast.ClassDef]) -> set[str]:
    """Names of methods and attributes, those of bases included."""
    found = set()
    for node in ast.walk(one):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    for base in one.bases:
        if isinstance(base, ast.Name) and base.id in known and known[base.id] is not one:
            found |= members(known[base.id], known)
    return found


def test_every_protocol_has_two_keepers_or_a_reason() -> None:
    everything = [*classes("src/flambeau"), *classes("tests/unit")]
    known = {one.name: one for one in everything}
    keepers = {
        protocol.name: [
            one.name
            for one in everything
            if not is_protocol(one) and members(protocol, known) <= members(one, known)
        ]
        for protocol in classes("src/flambeau")
        if is_protocol(protocol)
    }
    few = {
        name: kept
        for name, kept in keepers.items()
        if len(set(kept)) < 2 and name not in ALONE and name not in ELSEWHERE
    }
    assert few == {}, "name the one thing that keeps it, or say in ALONE why that cannot be"
    assert set(ALONE) <= set(keepers), "a reason for a Protocol that is no more"
