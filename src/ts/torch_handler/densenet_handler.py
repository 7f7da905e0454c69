"""Tensor in, tensor out."""

from __future__ import annotations

from flambeau.compat.functions import list_classes_from_module as list_classes_from_module
from flambeau.handlers.densenet_handler import DenseNetHandler as DenseNetHandler
