"""Java properties text -> keys and values with the line they stand on.

Called by ``config.load`` and by whoever reads a snapshot. Knows the syntax and the ``$$NAME$$``
rule, no setting. Reads no file and no environment of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import javaproperties

from flambeau.config.setting import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$\$(\w+)\$\$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the text; ``line`` counts from 1."""

    key: str
    value: str
    line: int


def pairs(text: str) -> list[Entry]:
    """The entries of ``text`` in order, repeated keys included; escapes are resolved."""
    found: list[Entry] = []
    line = 1
    try:
        for element in javaproperties.parse(text):
            if isinstance(element, javaproperties.KeyValue):
                found.append(Entry(element.key, element.value, line))
            line += _line_ends(element.source)
    except javaproperties.InvalidUEscapeError as error:
        raise ConfigurationError(
            f"line {line}: {error.escape!r} is not a character (expected \\u and four hex digits)"
        ) from None
    return found


def substituted(value: str, environment: Mapping[str, str]) -> str:
    """``value`` with every ``$$NAME$$`` replaced by that variable; an unset one is an error."""

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environment:
            raise ConfigurationError(f"Invalid Environment Variable {name}")
        return environment[name]

    return _VARIABLE.sub(variable, value)


def decoded(content: bytes) -> str:
    """The text of a file: UTF-8, or else Latin-1, which Java reads."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("iso-8859-1")


def _line_ends(source: str) -> int:
    return source.count("\n") + source.replace("\r\n", "").count("\r")
