"""Tensor in, tensor out."""

from __future__ import annotations

from flambeau.handlers.densenet_handler import DenseNetHandler as DenseNetHandler
from flambeau.worker.older import list_classes_from_module as list_classes_from_module
