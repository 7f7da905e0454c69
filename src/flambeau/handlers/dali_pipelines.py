"""DALI pipelines that an archive brings (``ts.handler_utils.preprocess.dali``). Needs DALI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flambeau.handlers.needs import needed

if TYPE_CHECKING:
    from flambeau.worker.context import Context

PACKAGE = "nvidia-dali-cuda120"


def get_dali_pipeline(ctx: Context) -> Any:
    """The pipeline in ``dali.pipeline_file`` of the model config, ready to be fed.

    Raises ValueError when the model config lacks a key or the file is missing.
    """
    pipeline = needed("nvidia.dali.pipeline", "a DALI handler", PACKAGE)
    section = (ctx.model_yaml_config or {}).get("dali") or {}
    for key in ("batch_size", "num_threads", "pipeline_file"):
        if key not in section:
            raise ValueError(f"model-config.yaml lacks dali.{key}, which a DALI handler needs")
    path = Path(ctx.system_properties["model_dir"]) / section["pipeline_file"]
    if not path.is_file():
        raise ValueError(f"dali.pipeline_file of model-config.yaml: {path} is missing")
    gpu = ctx.system_properties.get("gpu_id")
    return pipeline.Pipeline.deserialize(
        filename=str(path),
        batch_size=section["batch_size"],
        num_threads=section["num_threads"],
        device_id=section.get("device_id", 0 if gpu is None else gpu),
        seed=section.get("seed", -1),
        prefetch_queue_depth=1,
    )
