"""Models with DeepSpeed's inference engine (``ts.handler_utils.distributed.deepspeed``).

Reads ``deepspeed.config``, ``deepspeed.checkpoint`` and ``handler.model_path`` of the model
config. Needs deepspeed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flambeau.handlers.needs import needed

if TYPE_CHECKING:
    from flambeau.worker.context import Context

WEIGHTS = ("*.bin", "*.pt")


def create_checkpoints_json(model_path: str, checkpoints_json: str) -> None:
    """Write the file that tells DeepSpeed where the weights below ``model_path`` are."""
    root = Path(model_path)
    files = sorted(str(path) for kind in WEIGHTS for path in root.rglob(kind) if path.is_file())
    document = {"type": "ds_model", "checkpoints": files, "version": 1.0}
    Path(checkpoints_json).write_text(json.dumps(document), encoding="utf-8")


def get_ds_engine(model: Any, ctx: Context) -> Any:
    """The engine around ``model``.

    Raises ValueError when the model config names no DeepSpeed config file that is there.
    """
    model_dir = Path(ctx.system_properties["model_dir"])
    config = ctx.model_yaml_config or {}
    section = config.get("deepspeed") or {}
    path = model_dir / section.get("config", "")
    if not path.is_file():
        raise ValueError(f"model-config.yaml lacks deepspeed.config, or {path} is no file")
    checkpoint = None
    if section.get("checkpoint"):
        checkpoint = str(model_dir / section["checkpoint"])
        if not Path(checkpoint).is_file():
            weights = (config.get("handler") or {}).get("model_path") or model_dir
            create_checkpoints_json(str(model_dir / weights), checkpoint)
    device = int(os.getenv("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        torch.cuda.set_device(device)
    deepspeed = needed("deepspeed", "a DeepSpeed model")
    return deepspeed.init_inference(model, config=str(path), checkpoint=checkpoint)
