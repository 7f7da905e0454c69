"""The handler of image models with DALI."""

from __future__ import annotations

from flambeau.handlers.base_handler import BaseHandler as BaseHandler
from flambeau.handlers.dali_handler import DALIHandler as DALIHandler
from flambeau.handlers.dali_pipelines import get_dali_pipeline as get_dali_pipeline
