"""Pipeline-parallel models."""

from __future__ import annotations

from flambeau.handlers.pippy_driver import get_pipeline_driver as get_pipeline_driver
from flambeau.handlers.pippy_driver import get_pipeline_driver as get_pipline_driver
from flambeau.handlers.pippy_driver import initialize_rpc_workers as initialize_rpc_workers
