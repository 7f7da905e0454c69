"""``ObjectDetector``: an image to the boxes of the things in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.handlers.labels import map_class_to_label
from flambeau.handlers.vision_handler import VisionHandler, transforms

if TYPE_CHECKING:
    from flambeau.worker.context import Context


class ObjectDetector(VisionHandler):
    """Answers each image with a list of ``{label: [x1, y1, x2, y2], "score": probability}``."""

    image_processing = transforms("object_detector").Compose(
        [transforms("object_detector").ToTensor()]
    )
    threshold = 0.5

    def initialize(self, context: Context) -> None:
        """Load the model."""
        super().initialize(context)
        self.initialized = True

    def postprocess(self, data: Any) -> list[list[dict[Any, Any]]]:
        """The boxes of each image whose score reaches the threshold."""
        return [self._boxes(found) for found in data]

    def _boxes(self, found: Any) -> list[dict[Any, Any]]:
        boxes = []
        for box, label, score in zip(
            found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True
        ):
            if score >= self.threshold:
                (named,) = map_class_to_label([[box]], self.mapping, [[label]])
                boxes.append({**named, "score": score})
        return boxes
