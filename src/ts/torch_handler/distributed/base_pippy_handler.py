"""The base of handlers of pipeline-parallel models."""

from __future__ import annotations

from flambeau.handlers.base_handler import BaseHandler as BaseHandler
from flambeau.handlers.distributed import PippyHandler as BasePippyHandler
from flambeau.handlers.pippy_driver import initialize_rpc_workers as initialize_rpc_workers
