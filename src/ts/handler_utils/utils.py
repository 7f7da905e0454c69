"""Streaming, and classes by name."""

from __future__ import annotations

from flambeau.compat.functions import import_class as import_class
from flambeau.compat.wire import create_predict_response as create_predict_response
from flambeau.worker.context import Context as Context
from flambeau.worker.streaming import (
    send_intermediate_predict_response as send_intermediate_predict_response,
)
