"""Which keys of a model-config.yaml the server ignores, and what was probably meant.

The file belongs to two readers: the server, and the handler, which may read any key of its own.
So an unknown key is no alarm by itself; one that looks like a key of the server is.
"""

from __future__ import annotations

import logging
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from flambeau.versions.rows import paired, rows, standing_in
from flambeau.versions.value import Form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flambeau.versions.rows import Given, ValueRow

log = logging.getLogger("flambeau.archive")

OF_HANDLERS = frozenset(
    {
        "handler",
        "pt2",
        "micro_batching",
        "pippy",
        "deepspeed",
        "dali",
        "torch_compile",
        "torch_tensorrt",
        "example",
    }
)
"""What handlers that are shipped or published read, and ``flambeau check``: no word about them."""
ALIKE = 0.85
"""How alike, from 0 to 1, a key must be to one of the server's to be taken for a slip."""


def without_effect(document: Mapping[Any, Any], given: Given, shown: str) -> dict[str, str]:
    """Keys of ``document`` that look meant for the server and have no effect, with the reason.

    All of them are named in the log, as are the keys that only handlers may read. ``given`` is
    what was taken from the document, ``shown`` names the file.
    """
    known = {row.about.config: row for row in standing_in(Form.CONFIG)}
    ignored: dict[str, str] = {}
    others = []
    for key in map(str, document):
        if key in known:
            reason = _idle(known[key], given)
        elif key in OF_HANDLERS:
            continue
        elif meant := nearest(key):
            reason = f"{key} is no key of the server; did you mean {meant}?"
        else:
            others.append(key)
            continue
        if reason:
            ignored[key] = reason
    for key, reason in ignored.items():
        log.warning("model config key has no effect file=%s key=%s cause=%s", shown, key, reason)
    if others:
        keys = ",".join(others)
        log.info(
            "model config keys that are no settings of the server; handlers may read them "
            "file=%s keys=%.1000s",
            shown,
            keys,
        )
    if paired(given) is not given and _workers(given):
        log.warning(
            "model config workers have no effect: give minWorkers, 1 or more, and maxWorkers, as "
            "many or more file=%s",
            shown,
        )
    return ignored


def nearest(key: str) -> str | None:
    """The key of the server that ``key`` is a slip for; None when it is like none of them."""
    names = _names()
    plain = _plain(key)
    close = [plain] if plain in names else get_close_matches(plain, names, n=1, cutoff=ALIKE)
    return names[close[0]] if close else None


def _idle(row: ValueRow, given: Given) -> str:
    """Why a known key does nothing; empty when it does something, or changes nothing."""
    needs = row.about.needs
    if not needs or given.get(needs) or given.get(row.name, row.default) == row.default:
        return ""
    return f"{row.about.config} has no effect without {rows()[needs].about.config}"


def _workers(given: Given) -> bool:
    return "min_workers" in given or "max_workers" in given


@cache
def _names() -> dict[str, str]:
    """Every name of a value, in small letters and digits alone, and the key it stands for."""
    return {
        _plain(name): row.about.config
        for row in standing_in(Form.CONFIG)
        for name in (row.name, row.about.config)
    }


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
