"""Example inputs for ``flambeau check``: given by hand, or brought by the archive.

An archive brings them as the key ``example`` of its model-config.yaml (a file of the archive, a
text, or any other value, which is sent as JSON) or as files in a folder ``examples``.
"""

from __future__ import annotations

import json
import mimetypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "examples"
KEY = "example"
_DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Example:
    """One request body: where it comes from, its content type, its bytes."""

    origin: str
    content_type: str
    body: bytes


def from_file(path: Path, origin: str | None = None) -> Example:
    """The file's content, its type guessed from its name. Raises OSError."""
    guessed = mimetypes.guess_type(path.name)[0] or _DEFAULT_TYPE
    return Example(origin or str(path), guessed, path.read_bytes())


def from_text(text: str, origin: str) -> Example:
    """``text`` as JSON if it is JSON, else as plain text."""
    try:
        json.loads(text)
    except ValueError:
        return Example(origin, "text/plain", text.encode())
    return Example(origin, "application/json", text.encode())


def of_archive(model_dir: Path, config: dict[str, Any] | None) -> list[Example]:
    """What the unpacked archive brings, the key of the config first; empty if it brings nothing."""
    found: list[Example] = []
    if config and KEY in config:
        found.append(_from_config(model_dir, config[KEY]))
    folder = model_dir / FOLDER
    if folder.is_dir():
        found += [
            from_file(path, f"{FOLDER}/{path.name}")
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        ]
    return found


def _from_config(model_dir: Path, value: Any) -> Example:
    origin = f"key {KEY} of the model config"
    if not isinstance(value, str):
        return Example(origin, "application/json", json.dumps(value).encode())
    path = (model_dir / value).resolve() if len(value) < 256 and "\0" not in value else model_dir  # noqa: PLR2004 - the longest file name
    if path.is_relative_to(model_dir.resolve()) and path.is_file():
        return from_file(path, value)
    return Example(origin, "text/plain", value.encode())
