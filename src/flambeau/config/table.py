"""The table of settings, read back: one ``Row`` per field, and how its text becomes a value.

Called by ``load``, by the commands' help and by the reference page. Never reads a file or the
environment.
"""

from __future__ import annotations

import math
import re
import types
import typing
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from flambeau.config.addresses import completed
from flambeau.config.options import Options
from flambeau.config.setting import Setting, Syntax
from flambeau.config.values import ModelDefaults, Snapshot

if typing.TYPE_CHECKING:
    from collections.abc import Callable

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_PORTS = {
    Syntax.INFERENCE_ADDRESS: (80, 443),
    Syntax.MANAGEMENT_ADDRESS: (8081, 8444),
    Syntax.METRICS_ADDRESS: (8082, 8445),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting: its key, the type of its value, whether None is one, and the annotation."""

    key: str
    type: Any
    optional: bool
    default: Any
    setting: Setting

    @property
    def env(self) -> str | None:
        """The environment variable that may set it, None if there is none."""
        if self.setting.env != "":
            return self.setting.env
        name = self.key.upper()
        return name if name.startswith("TS_") else f"TS_{name}"

    @property
    def expected(self) -> str:
        """What a value must look like, in words for messages and the reference page."""
        words = _KIND_WORDS.get(self.setting.syntax) or _WORDS.get(self.type) or _words(self.type)
        return _bounded(words, self.setting)


@cache
def rows() -> dict[str, Row]:
    """Every setting by key, in the order of the table."""
    hints = typing.get_type_hints(Options, include_extras=True)
    return {field.name: _row(field, hints[field.name]) for field in msgspec.structs.fields(Options)}


def value_of(row: Row, text: str) -> Any:
    """The value ``text`` means for that setting; ValueError says what was expected."""
    if row.optional and not text.strip():
        return None
    value = _value(row, text)
    least, most = row.setting.least, row.setting.most
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(f"expected {row.expected}")
    return value


def _row(field: msgspec.structs.FieldInfo, hint: Any) -> Row:
    type_, setting = typing.get_args(hint)[:2]
    optional = isinstance(type_, types.UnionType)
    if optional:
        type_ = next(part for part in typing.get_args(type_) if part is not types.NoneType)
    factory = field.default_factory
    default = field.default if factory is msgspec.NODEFAULT else factory()
    return Row(field.name, type_, optional, default, setting)


def _value(row: Row, text: str) -> Any:
    syntax = row.setting.syntax
    if syntax in _PORTS:
        plain, tls = _PORTS[syntax]
        return completed(text, plain_port=plain, tls_port=tls)
    if syntax in {Syntax.REGEX, Syntax.REGEX_LIST}:
        return _expressions(syntax, text)
    return _READERS.get(row.type, _other)(row, text)


def _other(row: Row, text: str) -> Any:
    if isinstance(row.type, type) and issubclass(row.type, StrEnum):
        return _member(row, text)
    return _document(row, text)


def _integer(row: Row, text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError(f"expected {row.expected}")
    return int(text)


def _real(row: Row, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected {row.expected}")
    return value


def _member(row: Row, text: str) -> Any:
    try:
        return row.type(text.strip().lower())
    except ValueError:
        raise ValueError(f"expected {row.expected}") from None


def _expressions(syntax: Syntax, text: str) -> str:
    for expression in [text] if syntax is Syntax.REGEX else text.split(","):
        try:
            re.compile(expression)
        except re.error as error:
            raise ValueError(f"{expression!r} is no regular expression: {error}") from None
    return text


def _document(row: Row, text: str) -> Any:
    """A JSON value; for ``models``, numbers of zero or less count as not given."""
    try:
        value = msgspec.json.decode(text, type=row.type, strict=False)
    except msgspec.MsgspecError as error:
        raise ValueError(f"expected {row.expected}: {error}") from None
    if row.key == "models":
        return {
            name: {version: _positive(defaults) for version, defaults in versions.items()}
            for name, versions in value.items()
        }
    return value


def _positive(defaults: ModelDefaults) -> ModelDefaults:
    void = {
        field: None
        for field, value in msgspec.structs.asdict(defaults).items()
        if isinstance(value, int) and not isinstance(value, bool) and value <= 0
    }
    return msgspec.structs.replace(defaults, **void)


_READERS: dict[Any, Callable[[Row, str], Any]] = {
    bool: lambda _, text: text.strip().lower() == "true",
    int: _integer,
    float: _real,
    str: lambda _, text: text,
    Path: lambda _, text: Path(text),
}

_KIND_WORDS = {
    Syntax.REGEX: "a regular expression",
    Syntax.REGEX_LIST: "regular expressions, separated by commas",
    **dict.fromkeys(_PORTS, "http://host:port, https://host:port or unix:/path"),
}

_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    Path: "a path",
    Snapshot: "the JSON of a snapshot",
}


def _words(type_: Any) -> str:
    if isinstance(type_, type) and issubclass(type_, StrEnum):
        return "one of " + ", ".join(type_)
    return 'JSON such as {"name": {"1.0": {"minWorkers": 1}}}'


def _bounded(words: str, setting: Setting) -> str:
    if setting.least is not None and setting.most is not None:
        return f"{words} from {setting.least} to {setting.most}"
    return words if setting.least is None else f"{words}, at least {setting.least}"
