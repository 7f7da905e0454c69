"""MANIFEST.json of a model archive as a typed value.

Read by ``archive.store`` after unpacking and written by ``archive.mar`` when packing. Reading is
as tolerant as TorchServe's: unknown keys stay in the raw document, numbers stand for their text.
It never decides what a registration may override: the caller asks ``chosen_name`` and
``chosen_runtime`` with what the request says.
"""

from __future__ import annotations

import json
import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from flambeau.errors import BadRequest, InvalidModel

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("flambeau.archive")

MAR_INF = "MAR-INF"
MANIFEST_NAME = "MANIFEST.json"
MOST_BYTES = 4 << 20

UNREADABLE = "Failed to parse signature.json."
NO_NAME = "Model name is not defined."
NO_RUNTIME = "Runtime is not defined or invalid."


class RuntimeType(StrEnum):
    """The interpreter a model's workers run on."""

    PYTHON = "python"
    PYTHON3 = "python3"
    LSP = "LSP"


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The ``model`` object of a manifest; file names are relative to the archive's root.

    ``extensions`` and keys of the archive's own are in the raw document alone.
    """

    model_name: str | None = None
    model_version: str = "1.0"
    handler: str | None = None
    serialized_file: str | None = None
    model_file: str | None = None
    requirements_file: str | None = None
    config_file: str | None = None
    source_vocab: str | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an archive says about itself. ``runtime`` is None where it names none we know."""

    created_on: str | None = None
    archiver_version: str | None = None
    runtime: RuntimeType | None = RuntimeType.PYTHON
    description: str | None = None
    model: ModelEntry = ModelEntry()

    def chosen_name(self, override: str | None = None) -> str:
        """The name to serve under; a blank override counts as none. Raises InvalidModel."""
        name = override or self.model.model_name
        if not name:
            raise InvalidModel(NO_NAME)
        return name

    def chosen_runtime(self, override: str | None = None) -> RuntimeType:
        """The runtime to use. Raises BadRequest for a wrong override, InvalidModel for none."""
        if override is not None:
            try:
                return RuntimeType(override)
            except ValueError:
                raise BadRequest(f"Invalid RuntimeType value: {override}") from None
        if self.runtime is None:
            raise InvalidModel(NO_RUNTIME)
        return self.runtime


def read_manifest(model_dir: Path) -> tuple[Manifest, dict[str, Any] | None]:
    """The manifest of an unpacked archive, typed and as it was written.

    Without MAR-INF/MANIFEST.json: an empty python manifest and None. Raises InvalidModel when
    the file is there but cannot be used; the cause goes to the log.
    """
    path = model_dir / MAR_INF / MANIFEST_NAME
    if not path.is_file():
        return Manifest(), None
    try:
        manifest, document = _parse(path)
    except (OSError, ValueError, RecursionError) as error:
        log.warning("manifest unreadable file=%s cause=%s", path, error)
        raise InvalidModel(UNREADABLE) from error
    for key in ("createdOn", "archiverVersion"):
        if key not in document:
            log.warning("manifest incomplete file=%s missing=%s", path, key)
    return manifest, document


def _parse(path: Path) -> tuple[Manifest, dict[str, Any]]:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES} bytes")
    text = path.read_text(encoding="utf-8-sig")
    # Numbers stand for their text, digit for digit: version 1.10 must not become 1.1.
    manifest = _typed(json.loads(text, parse_int=str, parse_float=str, parse_constant=str))
    return manifest, json.loads(text)


def _typed(document: object) -> Manifest:
    if not isinstance(document, dict):
        raise ValueError(f"it holds a {type(document).__name__}, not an object")  # noqa: TRY004 -- bad content, caught with the parser's own ValueError
    fields = {
        key: _text(key, document[key])
        for key in ("createdOn", "archiverVersion", "description")
        if key in document
    }
    runtime: RuntimeType | None = RuntimeType.PYTHON
    if "runtime" in document:
        written = document["runtime"]
        known = isinstance(written, str) and written in set(RuntimeType)
        runtime = RuntimeType(written) if known else None
    return Manifest(
        created_on=fields.get("createdOn"),
        archiver_version=fields.get("archiverVersion"),
        description=fields.get("description"),
        runtime=runtime,
        model=_entry(document.get("model")),
    )


def _entry(document: object) -> ModelEntry:
    if document is None:
        return ModelEntry()
    if not isinstance(document, dict):
        raise ValueError("its model is not an object")  # noqa: TRY004 -- as above
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(ModelEntry):
        value = document.get(field.encode_name)
        if value is not None:
            values[field.name] = _text(field.encode_name, value)
    return ModelEntry(**values)


def _text(key: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise ValueError(f"its {key} is neither text nor a number")
