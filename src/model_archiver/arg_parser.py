"""The flags of torch-model-archiver."""

from __future__ import annotations

from flambeau.archive.manifest import RuntimeType
from flambeau.archive.mar import ModelArchiverConfig
from flambeau.cli.model_archiver import ArgParser

__all__ = ["ArgParser", "ModelArchiverConfig", "RuntimeType"]
