"""``VisionHandler``: images in, tensors for the model out.

Base of the image handlers. An image comes as encoded bytes, as base64 text, or as a nested list
that is taken for the tensor itself. Needs Pillow; captum only for explanations.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import torch

from flambeau.handlers.base_handler import BaseHandler
from flambeau.handlers.needs import needed
from flambeau.handlers.timer import timed

if TYPE_CHECKING:
    from flambeau.worker.context import Context

EXPLAIN_STEPS = 15


class VisionHandler(BaseHandler):
    """Turns the images of a batch into one tensor by ``image_processing``."""

    image_processing: Any = None
    """From a PIL image to a tensor; subclasses set it."""

    def initialize(self, context: Context) -> None:
        """Load the model; large images are refused unless the settings allow them."""
        super().initialize(context)
        image = needed("PIL.Image", "VisionHandler", "Pillow")
        if not context.system_properties.get("limit_max_image_pixels", True):
            image.MAX_IMAGE_PIXELS = None

    @timed
    def preprocess(self, data: list[Any]) -> Any:
        """The images of the batch, stacked."""
        return torch.stack([self._tensor(row) for row in data]).to(self.device)

    def _tensor(self, row: Any) -> Any:
        image = row.get("data") or row.get("body")
        if isinstance(image, str):
            image = base64.b64decode(image)
        if not isinstance(image, (bytes, bytearray)):
            return torch.FloatTensor(image)
        pictures = needed("PIL.Image", "VisionHandler", "Pillow")
        return self.image_processing(pictures.open(io.BytesIO(image)))

    def get_insights(self, tensor_data: Any, _: Any, target: int = 0) -> Any:
        """How much each pixel speaks for ``target``, in the shape of the input."""
        attr = needed("captum.attr", "an explanation", "captum")
        gradients = attr.IntegratedGradients(self.model)
        return gradients.attribute(tensor_data, target=target, n_steps=EXPLAIN_STEPS).tolist()


def transforms(handler: str) -> Any:
    """Torchvision's transforms. Raises ImportError that names the remedy."""
    return needed("torchvision.transforms", handler, "torchvision")


def imagenet_processing(handler: str) -> Any:
    """Resize 256, crop 224, normalised with the mean and deviation of ImageNet."""
    steps = transforms(handler)
    return steps.Compose(
        [
            steps.Resize(256),
            steps.CenterCrop(224),
            steps.ToTensor(),
            steps.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
