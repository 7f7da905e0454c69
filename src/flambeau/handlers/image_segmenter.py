"""``ImageSegmenter``: an image to the class of each of its pixels."""

from __future__ import annotations

from typing import Any

import torch

from flambeau.handlers.vision_handler import VisionHandler, imagenet_processing


class ImageSegmenter(VisionHandler):
    """Answers each image with height x width x 2: class index and its probability."""

    image_processing = imagenet_processing("image_segmenter")

    def postprocess(self, data: Any) -> Any:
        """Class and probability of each pixel; the model's output is under the key ``out``."""
        probabilities = torch.softmax(data["out"], dim=1)
        best, classes = probabilities.max(dim=1)
        return torch.stack([classes.type(best.dtype), best], dim=3).tolist()
