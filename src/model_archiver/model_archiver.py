"""Packing as one class."""

from __future__ import annotations

from flambeau.archive.mar import ModelArchiverConfig
from flambeau.cli.model_archiver import ModelArchiver, generate_model_archive

__all__ = ["ModelArchiver", "ModelArchiverConfig", "generate_model_archive"]
