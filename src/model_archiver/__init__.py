"""Packing models from Python, under the names of torch-model-archiver 0.12.0. No logic here."""

from __future__ import annotations

from flambeau.cli.model_archiver import ModelArchiver
from model_archiver import (
    arg_parser,
    manifest_components,
    model_packaging,
    model_packaging_utils,
    version,
)
from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.version import __version__

__all__ = [
    "ModelArchiver",
    "ModelArchiverConfig",
    "__version__",
    "arg_parser",
    "manifest_components",
    "model_packaging",
    "model_packaging_utils",
    "version",
]
