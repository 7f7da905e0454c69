"""Snapshot files: the configuration in force and what is registered, as config.properties text.

``server`` makes one ``SnapshotFiles`` and hands it to the control plane, which writes after every
change. A file appears whole or not at all; the newest ``KEPT`` stay.
"""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import javaproperties
import msgspec

from flambeau.config.setting import Effect
from flambeau.config.table import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau.config.options import Options

KEPT = 100
"""Files of ours that stay; the original keeps all, which fills disks."""
SECRET = frozenset({"keystore_pass"})
"""Settings left out of snapshots unless they were in the file the server was started with."""
REPLACED = frozenset({"model_snapshot", "load_models"})
"""Settings that a snapshot's own list of models takes the place of."""


class Occasion(StrEnum):
    """What a snapshot was written for; part of its name."""

    STARTUP = "startup"
    CHANGE = "snapshot"
    SHUTDOWN = "shutdown"


class SnapshotFiles:
    """Writes snapshots into the folder ``config`` of the log location."""

    def __init__(self, options: Options, clock: Callable[[], datetime] | None = None) -> None:
        self.folder = options.log_location / "config"
        self._settings = _settings(options)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._latest = datetime.min.replace(tzinfo=UTC)

    def write(self, occasion: str, models: dict[str, Any]) -> Path:
        """Write one snapshot of the settings and ``models``; its path comes back. Blocks.

        Its name sorts after that of every earlier one of this server.
        Raises OSError when the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        now = self._now()
        name = f"{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03d}-{Occasion(occasion)}.cfg"
        document = {
            "name": name,
            "modelCount": sum(map(len, models.values())),
            "created": int(now.timestamp() * 1000),
            "models": models,
        }
        settings = {**self._settings, "model_snapshot": json.dumps(document, indent=2)}
        text = javaproperties.dumps(sorted(settings.items()), timestamp=now)
        path = self.folder / name
        draft = path.with_suffix(f".{os.getpid()}.part")
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        self._prune()
        return path

    def _now(self) -> datetime:
        """A time in whole milliseconds, each later than the last.

        Two changes within one millisecond would share a name, and after a clock that went back an
        older file would be taken for the newest.
        """
        now = self._clock()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        if now <= self._latest:
            now = self._latest + timedelta(milliseconds=1)
        self._latest = now
        return now

    def _prune(self) -> None:
        ours = sorted(
            path
            for occasion in Occasion
            for path in self.folder.glob(f"{'[0-9]' * 17}-{occasion}.cfg")
        )
        for path in ours[:-KEPT]:
            with contextlib.suppress(OSError):
                path.unlink()


def _settings(options: Options) -> dict[str, str]:
    """Every setting that differs from its default, as text a start can read back."""
    found = dict(options.kept)
    for row in rows().values():
        value = getattr(options, row.key)
        if not row.setting.in_file or row.key in REPLACED | SECRET:
            continue
        recorded = row.setting.effect is Effect.RECORDED
        if value is not None and (recorded or value != row.default):
            found[row.key] = _text(value)
    if options.config_file is not None:
        found["tsConfigFile"] = str(options.config_file)
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float, Path)):
        return str(value)
    return msgspec.json.encode(value).decode()
