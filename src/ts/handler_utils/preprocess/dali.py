"""DALI pipelines of an archive."""

from __future__ import annotations

from flambeau.handlers.dali_pipelines import get_dali_pipeline as get_dali_pipeline
