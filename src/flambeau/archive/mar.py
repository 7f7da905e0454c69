"""Packs model archives in every format: zip, stored zip, gzipped tar, plain folder.

Called by the commands ``torch-model-archiver`` and ``flambeau archive`` and by the package
``model_archiver``; what it writes, ``archive.unpack`` reads. It never runs or imports a model.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.archive.manifest import MANIFEST_NAME, MAR_INF, RuntimeType
from flambeau.archive.packing import (
    Contents,
    PackingError,
    check_folder,
    check_free,
    check_name,
    write_folder,
    write_tgz,
    write_zip,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

ARCHIVER_VERSION = "0.12.0"
"""The archiver whose archives ours are interchangeable with; stands in every manifest."""

SUFFIXES = {"default": ".mar", "zip-store": ".mar", "tgz": ".tar.gz", "no-archive": ""}

BUILT_IN_HANDLERS = {
    "base_handler": "anything",
    "text_classifier": "text",
    "image_classifier": "vision",
    "object_detector": "vision",
    "image_segmenter": "vision",
    "dali_image_classifier": "vision",
    "vllm_handler": "text",
    "trt_llm_handler": "text",
}
"""Handlers named instead of shipped, and what they are for."""

BUILT_IN_CPP_HANDLERS = frozenset({"BaseHandler", "TorchScriptHandler"})


@dataclass
class ModelArchiverConfig:
    """What goes into one archive, and where it is written. Names are those of the flags."""

    model_name: str
    handler: str
    version: str
    serialized_file: str | None = None
    model_file: str | None = None
    extra_files: str | None = None
    """Comma separated files, folders (their contents are taken) and wildcards."""
    runtime: str = RuntimeType.PYTHON.value
    export_path: str = field(default_factory=os.getcwd)
    archive_format: str = "default"
    """``default``, ``zip-store``, ``tgz`` or ``no-archive``."""
    force: bool = False
    requirements_file: str | None = None
    config_file: str | None = None

    @classmethod
    def from_args(cls, args: Namespace) -> ModelArchiverConfig:
        """The configuration that parsed flags describe."""
        return cls(**{entry.name: getattr(args, entry.name) for entry in fields(cls)})


def pack(
    config: ModelArchiverConfig,
    manifest: str | None = None,
    on_read: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the archive ``config`` describes; the path of the file (or folder) written.

    ``manifest`` replaces the text of MANIFEST.json. ``on_read`` is called with the size of each
    piece read and the size of everything to read, in bytes. Raises PackingError, which says what to do;
    MissingFile (also a FileNotFoundError) when a named file is not there. Nothing is left behind
    then, and an archive that was there before stays as it was.
    """
    check_name("Model", config.model_name)
    target = archive_path(config.export_path, config.model_name, config.archive_format)
    text = manifest_text(config) if manifest is None else manifest
    check_folder(config.export_path)
    check_free(target, force=config.force)
    contents = collect(config, target)
    if on_read is not None:
        total = sum(path.stat().st_size for path in contents.files.values())
        contents.on_read = lambda size: on_read(size, total)
    write(target, contents, text, (config.archive_format, config.model_name))
    return target


def write(target: Path, contents: Contents, manifest: str, shape: tuple[str, str]) -> None:
    """Write the archive; ``shape`` is its format and the top folder's name, for formats with one."""
    archive_format, top = shape
    entry = (f"{MAR_INF}/{MANIFEST_NAME}", manifest)
    if archive_format == "tgz":
        write_tgz(target, contents, entry, top=top)
    elif archive_format == "no-archive":
        write_folder(target, contents, entry)
    else:
        write_zip(target, contents, entry, deflate=archive_format == "default")


def archive_path(folder: str | Path, model_name: str, archive_format: str = "default") -> Path:
    """Where the archive goes. Raises PackingError for an unknown format."""
    if archive_format not in SUFFIXES:
        raise PackingError(
            f"archive format {archive_format!r} is unknown; choose from {', '.join(SUFFIXES)}"
        )
    return Path(folder) / f"{model_name}{SUFFIXES[archive_format]}"


def collect(config: ModelArchiverConfig, target: Path) -> Contents:
    """The files the archive will hold, without its manifest."""
    contents = Contents(MAR_INF, leave_out=target)
    handler = handler_file(config.handler, config.runtime)
    for path in (config.model_file, config.serialized_file, handler):
        if path:
            contents.add(path)
    if config.extra_files:
        contents.add_extra(config.extra_files)
    for path in (config.requirements_file, config.config_file):
        if path:
            contents.add(path)
    contents.check()
    return contents


def handler_file(handler: str, runtime: str) -> str | None:
    """The file a handler lies in; None for a built-in one.

    Taken: ``dir/mod.py``, ``dir/mod``, either with ``:function``; for LSP ``dir/lib:Class``.
    """
    folder, name = os.path.split(handler)
    stem = name.split(":", 1)[0]
    if runtime == RuntimeType.LSP:
        if handler in BUILT_IN_CPP_HANDLERS:
            return None
        suffix = ".dylib" if sys.platform == "darwin" else ".so"
    elif handler in BUILT_IN_HANDLERS:
        return None
    else:
        suffix = ".py"
    return str(Path(folder, stem if stem.endswith(suffix) else stem + suffix))


def manifest_text(config: ModelArchiverConfig) -> str:
    """MANIFEST.json for ``config``. Raises PackingError for an unknown runtime."""
    try:
        runtime = RuntimeType(config.runtime)
    except ValueError:
        known = ", ".join(RuntimeType)
        raise PackingError(f"runtime {config.runtime!r} is unknown; choose from {known}") from None
    document = {
        "createdOn": created_on(),
        "runtime": runtime.value,
        "model": model_entry(config),
        "archiverVersion": ARCHIVER_VERSION,
    }
    return json.dumps(document, indent=2)


def model_entry(config: ModelArchiverConfig) -> dict[str, Any]:
    """The ``model`` object of the manifest; files by their base names, absent ones left out."""
    entry = {
        "modelName": config.model_name,
        "serializedFile": config.serialized_file and Path(config.serialized_file).name,
        "handler": Path(config.handler).name,
        "modelFile": config.model_file and Path(config.model_file).name,
        "modelVersion": config.version,
        "requirementsFile": config.requirements_file and Path(config.requirements_file).name,
        "configFile": config.config_file and Path(config.config_file).name,
    }
    return {key: value for key, value in entry.items() if value or key == "handler"}


def created_on() -> str:
    """The time now as manifests spell it, in local time."""
    return datetime.now().astimezone().strftime("%d/%m/%Y %H:%M:%S")
