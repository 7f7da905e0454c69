"""The table of values read back: one ``ValueRow`` per field, structs and mappings made from it.

Values that are *given* are a mapping from names in the table to values; what is not in it was not
given. Every form has its own struct or document, whose fields ``with_values`` makes, and whose
values ``given_in`` reads back under the table's names.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from flambeau.versions.table import VersionValues
from flambeau.versions.value import Form, Value

Given = Mapping[str, Any]
"""Values by their names in the table; those that were not given are not in it."""
NOTHING: Given = types.MappingProxyType({})

Kind = TypeVar("Kind", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One value: its name in the table, the type and default of its field, and the annotation."""

    name: str
    type: Any
    default: Any
    about: Value

    def spelt(self, form: Form) -> str:
        """The name it has in ``form``; empty where it does not stand."""
        about = self.about
        if form in about.asked:
            return self.name
        spellings = {
            Form.CONFIG: about.config,
            Form.MODELS: about.models,
            Form.SNAPSHOT: about.models,
            Form.SERVER: about.setting,
            Form.DESCRIBE: about.described,
        }
        return spellings.get(form, "")

    def explained(self, form: Form) -> str:
        """The sentence of a parameter of a call, with what holds when it is left out."""
        about = self.about
        if form is Form.SCALE:
            return f"New {about.sentence[0].lower()}{about.sentence[1:]}{about.unit.words}."
        default = f": {about.otherwise}" if about.otherwise else f" {self.default}"
        return f"{about.sentence}{about.unit.words}; default{default}."

    @property
    def nothing(self) -> Any:
        """What stands for it where it has no effect: 0, an empty text, false."""
        return None if self.default is None else type(self.default)()


@cache
def rows() -> dict[str, ValueRow]:
    """Every value by name, in the order of the table."""
    hints = typing.get_type_hints(VersionValues, include_extras=True)
    found = {}
    for field in msgspec.structs.fields(VersionValues):
        kind, about = typing.get_args(hints[field.name])[:2]
        found[field.name] = ValueRow(field.name, kind, field.default, about)
    return found


def standing_in(form: Form) -> tuple[ValueRow, ...]:
    """The values that have a name in ``form``, in the order of the table."""
    return tuple(row for row, _ in spellings(form))


@cache
def spellings(form: Form) -> tuple[tuple[ValueRow, str], ...]:
    """The values that have a name in ``form``, each with that name, in the order of the table."""
    found = ((row, row.spelt(form)) for row in rows().values())
    return tuple((row, name) for row, name in found if name)


def with_values(form: Form, *, after: str) -> Callable[[type[Kind]], type[Kind]]:
    """Class decorator: the struct of ``form``, its values behind the field ``after``.

    In describe every field has a value, and its name there; elsewhere it may be None for "not
    given", and has the table's name.
    """

    def fill(kind: type[Kind]) -> type[Kind]:
        hints = typing.get_type_hints(kind, include_extras=True)
        fields: list[Any] = []
        for own in msgspec.structs.fields(kind):
            default: Any = own.default  # msgspec.NODEFAULT for a field that must be there
            spelling = msgspec.field(default=default, name=own.encode_name)
            fields.append((own.name, hints[own.name], spelling))
            if own.name == after:
                fields += [_field(row, form) for row in standing_in(form)]
        own_names = {"__doc__": kind.__doc__, "__qualname__": kind.__qualname__}
        made = msgspec.defstruct(
            kind.__name__,
            fields,
            module=kind.__module__,
            namespace=own_names,
            frozen=True,
            kw_only=True,
        )
        return typing.cast("type[Kind]", made)

    return fill


def _field(row: ValueRow, form: Form) -> tuple[str, Any, Any]:
    spelling = row.spelt(form)
    if form is Form.DESCRIBE:
        default = None if row.default is None else msgspec.NODEFAULT
        return spelling, row.type, msgspec.field(default=default)
    hint = row.type | None
    if form in {Form.REGISTER, Form.SCALE}:
        bounds = {"least": row.about.least, "choices": row.about.choices}
        hint = Annotated[hint, Meta(description=row.explained(form), extra=bounds)]
    return row.name, hint, msgspec.field(default=None, name=spelling)


def given_in(form: Form, holder: object) -> Given:
    """What ``holder``, the struct of ``form`` or the server's options, gives of the values."""
    found = {}
    for row, name in spellings(form):
        value = getattr(holder, name if form is Form.SERVER else row.name)
        if value is not None:
            found[row.name] = value
    return found


def paired(given: Given) -> Given:
    """``given``, without the numbers of workers unless both are there and fit."""
    least, most = given.get("min_workers") or 0, given.get("max_workers") or 0
    if 0 < least <= most:
        return given
    return {k: v for k, v in given.items() if k not in {"min_workers", "max_workers"}}
