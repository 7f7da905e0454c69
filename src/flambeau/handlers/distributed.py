"""Bases of handlers whose model is spread over devices (``ts.torch_handler.distributed``).

Each process that torchrun starts for a worker has one; its rank is in the environment.
"""

from __future__ import annotations

import os
from abc import ABC
from typing import TYPE_CHECKING, Any

import torch

from flambeau.handlers.base_handler import BaseHandler

if TYPE_CHECKING:
    from flambeau.worker.context import Context


class _Spread(BaseHandler, ABC):
    """Knows its rank and device; subclasses load the model."""

    def _join(self, ctx: Context) -> None:
        self.context = ctx
        self.manifest = ctx.manifest
        self.model_yaml_config = ctx.model_yaml_config or {}
        self.local_rank = int(os.getenv("LOCAL_RANK", "0"))
        self.world_size = int(os.getenv("WORLD_SIZE", "1"))
        self.device = _device(self.local_rank)
        self.map_location = self.device.type


def _device(local_rank: int) -> Any:
    if torch.cuda.is_available():
        return torch.device(f"cuda:{local_rank % torch.cuda.device_count()}")
    return torch.device("cpu")


class DeepSpeedHandler(_Spread):
    """A handler whose ``initialize`` loads a model and gives it to ``get_ds_engine``."""

    def initialize(self, ctx: Context) -> None:
        """Find rank and device."""
        self._join(ctx)


class PippyHandler(_Spread):
    """A handler whose ``initialize`` loads a model and gives it to ``get_pipeline_driver``."""

    def initialize(self, ctx: Context) -> None:
        """Find rank and device, and join the group of this worker's processes."""
        from flambeau.handlers.pippy_driver import initialize_rpc_workers  # noqa: PLC0415 - starts tensorpipe

        self._join(ctx)
        initialize_rpc_workers(self.local_rank, self.world_size, ctx)
