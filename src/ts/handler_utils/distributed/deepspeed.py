"""DeepSpeed engines."""

from __future__ import annotations

from flambeau.handlers.deepspeed_engine import create_checkpoints_json as create_checkpoints_json
from flambeau.handlers.deepspeed_engine import get_ds_engine as get_ds_engine
from flambeau.worker.context import Context as Context
