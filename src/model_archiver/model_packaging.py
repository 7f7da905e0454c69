"""Packing as functions; also run with ``python -m model_archiver.model_packaging``."""

from __future__ import annotations

from flambeau.archive.mar import ModelArchiverConfig
from flambeau.archive.packing import PackingError as ModelArchiverError
from flambeau.cli.model_archiver import ArgParser, generate_model_archive, package_model
from flambeau.compat.model_export import ModelExport as ModelExportUtils

__all__ = [
    "ArgParser",
    "ModelArchiverConfig",
    "ModelArchiverError",
    "ModelExportUtils",
    "generate_model_archive",
    "package_model",
]

if __name__ == "__main__":
    generate_model_archive()
