"""Pipeline-parallel models with PiPPy (``ts.handler_utils.distributed.pt_pippy``).

Reads the sections ``pippy`` and ``handler`` of the model config. Needs torchpippy.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed import rpc

from flambeau.handlers.needs import needed

if TYPE_CHECKING:
    from flambeau.worker.context import Context

logger = logging.getLogger(__name__)

RPC_TIMEOUT_S = 1800
RPC_THREADS = 512


def initialize_rpc_workers(local_rank: int, world_size: int, ctx: Context) -> None:
    """Join the RPC group of the processes of this worker, with every device of every peer."""
    config = (ctx.model_yaml_config or {}).get("pippy") or {}
    options = rpc.TensorPipeRpcBackendOptions(
        num_worker_threads=config.get("num_worker_threads", RPC_THREADS),
        rpc_timeout=config.get("rpc_timeout", RPC_TIMEOUT_S),
    )
    for peer in range(torch.cuda.device_count()):
        options.set_device_map(f"worker{peer}", {local_rank: peer})
    rpc.init_rpc(  # type: ignore[no-untyped-call]  # torch's own
        f"worker{local_rank}", rank=local_rank, world_size=world_size, rpc_backend_options=options
    )


def get_pipeline_driver(model: Any, world_size: int, ctx: Context) -> Any:
    """The driver of the pipeline that runs ``model`` over ``world_size`` processes.

    Raises ValueError when the model config lacks what is needed.
    """
    pippy = needed("pippy", "a pipeline-parallel model", "torchpippy")
    config = ctx.model_yaml_config or {}
    section = config.get("pippy") or {}
    for key in ("input_names", "model_type"):
        if key not in section:
            raise ValueError(f"model-config.yaml lacks pippy.{key}, which a pipeline needs")
    tracer: Any = None
    concrete: Any = None
    if section["model_type"] == "HF":
        hf = needed("pippy.hf", "a pipeline-parallel model", "torchpippy")
        fx = needed("transformers.utils.fx", "a pipeline-parallel model", "transformers")
        tracer = hf.PiPPyHFTracer()
        concrete = fx.get_concrete_args(model, section["input_names"])
    checkpoint = _checkpoint(ctx, config.get("handler") or {})
    chunks = section.get("chunks", 1)
    spec = needed("pippy.IR", "a pipeline-parallel model", "torchpippy")
    driver = pippy.all_compile(
        model,
        num_ranks=world_size,
        num_chunks=chunks,
        schedule="FillDrain",
        split_policy=pippy.split_into_equal_size(world_size),
        tracer=tracer,
        concrete_args=concrete,
        index_filename=checkpoint,
        checkpoint_prefix=None,
        output_chunk_spec=spec.TensorChunkSpec(0) if section["model_type"] == "HF" else None,
    )
    logger.info("The pipeline over %d processes is ready", world_size)
    return driver


def _checkpoint(ctx: Context, section: dict[str, Any]) -> str | None:
    """The index of the model's sharded weights, if the model config names one."""
    if "index_filename" not in section:
        return None
    folder = Path(ctx.system_properties["model_dir"]) / section.get("model_path", "")
    index = folder / section["index_filename"]
    if not index.is_file():
        raise ValueError(f"handler.index_filename of model-config.yaml: {index} is missing")
    return str(index)
