"""The handler base classes of the time before ``BaseHandler`` (``ts.model_service``).

Very old archives derive from them; nothing else here uses them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flambeau.worker.context import Context


class ModelService:
    """A handler whose work is done by ``inference``."""

    ctx: Context | None = None

    def __init__(
        self,
        model_name: str,
        model_dir: str,
        manifest: dict[str, Any] | None,
        gpu: int | None = None,
    ) -> None:
        self.model_name = model_name
        self.model_dir = model_dir
        self.manifest = manifest
        self.gpu = gpu

    def initialize(self, context: Context) -> None:
        """Take name, folder, manifest and device from the context."""
        properties = context.system_properties
        self.ctx = context
        self.model_name = context.model_name
        self.model_dir = properties["model_dir"]
        self.manifest = context.manifest
        self.gpu = properties["gpu_id"]

    def inference(self, data: Any) -> Any:
        """The answer to the inputs; subclasses implement it."""
        raise NotImplementedError

    def ping(self) -> None:
        """Nothing; subclasses may check themselves."""

    def signature(self) -> Any:
        """What the model takes and gives, as the manifest says."""
        return (self.manifest or {}).get("model", {}).get("signature")

    def handle(self, data: list[Any], context: Context) -> Any:
        """The answers to a batch."""
        self.ctx = context
        return self.inference(data)


class SingleNodeService(ModelService, ABC):
    """Inference in three steps."""

    def inference(self, data: Any) -> Any:
        """Preprocess, infer, postprocess."""
        return self._postprocess(self._inference(self._preprocess(data)))

    @abstractmethod
    def _inference(self, data: Any) -> Any:
        """The model's output for prepared input."""

    def _preprocess(self, data: Any) -> Any:
        return data

    def _postprocess(self, data: Any) -> Any:
        return data
