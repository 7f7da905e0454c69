"""Sentences about settings that are accepted and yet deserve a word at start.

Called by ``config.load``. Decides nothing: what it reports has been settled already.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from flambeau.config.options import WIDE_ALLOWED_URLS, Options
from flambeau.config.setting import Effect
from flambeau.config.table import rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flambeau.config.properties import Entry


def about_entries(entries: Iterable[Entry], file_name: str) -> list[str]:
    """Unknown keys with a likely meaning, keys set twice, keys that a file cannot set."""
    said: list[str] = []
    first: dict[str, int] = {}
    for pair in entries:
        place = f"{file_name}:{pair.line}"
        if pair.key in first:
            said.append(f"{place}: {pair.key} was set in line {first[pair.key]}; this one counts")
        first[pair.key] = pair.line
        row = rows().get(pair.key)
        if row is None:
            said.append(f"{place}: unknown setting {pair.key}{_suggestion(pair.key, rows())}")
        elif not row.setting.in_file:
            flag = row.setting.flag or row.env or "the command line"
            said.append(f"{place}: {pair.key} cannot be set in a file; use {flag}")
    return said


def about_effects(given: Mapping[str, str]) -> list[str]:
    """Settings that were given (key -> place) and do nothing today."""
    return [
        f"{given[key]}: {key} {_EFFECT[row.setting.effect]}"
        for key, row in rows().items()
        if key in given and row.setting.effect in _EFFECT
    ]


def about_environment(ignored: Iterable[str], read: Mapping[str, str]) -> list[str]:
    """TS_* variables that look like settings but are not read."""
    names = sorted(ignored)
    if names:
        are = "is set but not read" if len(names) == 1 else "are set but not read"
        return [
            f"{', '.join(names)} {are}: the configuration file must say enable_envvars_config=true"
        ]
    known = [row.env for row in rows().values() if row.env]
    return [
        f"environment variable {name} sets nothing{suggestion}"
        for name in sorted(read)
        if name.startswith("TS_") and name not in known
        if (suggestion := _suggestion(name, known))
    ]


def about_values(options: Options) -> list[str]:
    """Settings that are right but worth a second thought."""
    said: list[str] = []
    if options.allowed_urls == WIDE_ALLOWED_URLS:
        said.append(
            "allowed_urls is the wide default: archives may be fetched from any http, https or "
            "file URL. Set it to the places you trust"
        )
    return said


_EFFECT = {
    Effect.LATER: "is known but not yet in effect",
    Effect.NONE: "has no meaning here (it belongs to the JVM of the original)",
}


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f" (did you mean {close[0]}?)" if close else ""
