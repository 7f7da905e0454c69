"""What stands in for the control plane in the tests of its faces has the real one's signatures.

The tests of ``rest`` and ``grpc`` ask a plane in memory, so that answers come when a test says so.
A stand-in that drifts away from the real plane would keep those tests green for nothing.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from flambeau.control.plane import ControlPlane
from tests.unit.grpc.conftest import Plane as GrpcPlane
from tests.unit.rest.conftest import Plane as RestPlane

SOURCE = Path(__file__).parents[2] / "src" / "flambeau"
STAND_INS = {"rest": RestPlane, "grpc": GrpcPlane}
OF_TESTS = {"job"}
"""Methods that only tests call."""


def methods_of(stand_in: type) -> list[str]:
    return [
        name
        for name, value in vars(stand_in).items()
        if inspect.isfunction(value) and not name.startswith("_") and name not in OF_TESTS
    ]


def shape(method: object) -> list[tuple[str, object, object]]:
    """Name, kind and default of each parameter."""
    assert callable(method)
    parameters = inspect.signature(method).parameters.values()
    return [(one.name, one.kind, one.default) for one in parameters]


def used_by(face: str) -> set[str]:
    """What the modules of a face take from anything they call a plane."""
    used = set()
    for path in (SOURCE / face).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                owner = node.value
                name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                if name.lstrip("_") == "plane":
                    used.add(node.attr)
    return used


@pytest.mark.parametrize(
    ("face", "name"),
    [(face, name) for face, stand_in in STAND_INS.items() for name in methods_of(stand_in)],
)
def test_a_method_that_stands_in_is_called_like_the_real_one(face, name):
    real, stand_in = getattr(ControlPlane, name), getattr(STAND_INS[face], name)
    assert shape(stand_in) == shape(real)
    assert inspect.iscoroutinefunction(stand_in) == inspect.iscoroutinefunction(real)


@pytest.mark.parametrize("face", STAND_INS)
def test_a_stand_in_has_what_its_face_uses_and_so_has_the_real_plane(face):
    used = used_by(face)
    assert len(used) > 8, "the faces no longer call it a plane: nothing would be checked"
    stand_in = STAND_INS[face]()
    assert {name for name in used if not hasattr(stand_in, name)} == set()
    (real,) = [
        node
        for node in ast.parse((SOURCE / "control" / "plane.py").read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "ControlPlane"
    ]
    kept = {
        node.attr
        for node in ast.walk(real)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    assert {name for name in used if not hasattr(ControlPlane, name) and name not in kept} == set()
