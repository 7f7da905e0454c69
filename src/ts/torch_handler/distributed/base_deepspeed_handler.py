"""The base of handlers that use DeepSpeed."""

from __future__ import annotations

from flambeau.handlers.base_handler import BaseHandler as BaseHandler
from flambeau.handlers.distributed import DeepSpeedHandler as BaseDeepSpeedHandler
from flambeau.worker.context import Context as Context
