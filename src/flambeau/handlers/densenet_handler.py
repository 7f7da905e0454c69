"""``DenseNetHandler``: a saved tensor in, the model's output tensor out.

An early default handler, kept for archives that name it. It does not derive from BaseHandler.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flambeau.handlers import model_files
from flambeau.handlers.base_handler import choose_device

if TYPE_CHECKING:
    from flambeau.worker.context import Context

logger = logging.getLogger(__name__)


class DenseNetHandler:
    """Answers the batch with one tensor."""

    def __init__(self) -> None:
        self.model: Any = None
        self.mapping: Any = None
        self.device: Any = None
        self.initialized = False
        self.manifest: dict[str, Any] | None = None
        self.context: Any = None

    def initialize(self, context: Context) -> None:
        """Load the eager or scripted model."""
        self.context = context
        self.manifest = context.manifest
        properties = context.system_properties
        _, self.device = choose_device(properties.get("gpu_id"))
        model_dir = str(properties["model_dir"])
        files = (self.manifest or {}).get("model") or {}
        path = str(Path(model_dir) / files["serializedFile"])
        if files.get("modelFile"):
            self.model = self._load_pickled_model(model_dir, files["modelFile"], path)
        else:
            self.model = self._load_torchscript_model(path)
        self.initialized = True

    def _load_torchscript_model(self, model_pt_path: str) -> Any:
        return model_files.torchscript(model_pt_path, self.device)

    def _load_pickled_model(self, model_dir: str, model_file: str, model_pt_path: str) -> Any:
        return model_files.eager(model_dir, model_file, model_pt_path, self.device)

    def preprocess(self, data: list[Any]) -> Any:
        """The tensor saved in the first row."""
        body = data[0].get("data") or data[0].get("body")
        return torch.load(io.BytesIO(body), map_location=self.device)

    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        """The model's output."""
        with torch.inference_mode():
            return self.model(data.to(self.device), *args, **kwargs)

    def postprocess(self, data: Any) -> list[Any]:
        """The output as the one answer."""
        return [data]

    def handle(self, data: list[Any], context: Context) -> list[Any]:
        """The answer to a batch of one."""
        self.context = context
        return self.postprocess(self.inference(self.preprocess(data)))
