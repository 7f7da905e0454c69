"""``DALIImageClassifier``: an image to its most likely classes, prepared by DALI."""

from __future__ import annotations

from typing import Any

from torch.nn import functional

from flambeau.handlers.dali_handler import DALIHandler
from flambeau.handlers.labels import map_class_to_label


class DALIImageClassifier(DALIHandler):
    """Answers each image with ``{label: probability}``, most probable first."""

    topk = 5

    def set_max_result_classes(self, topk: int) -> None:
        """Choose how many classes are answered."""
        self.topk = topk

    def get_max_result_classes(self) -> int:
        """How many classes are answered, at most."""
        return self.topk

    def postprocess(self, data: Any) -> list[dict[Any, Any]]:
        """The most probable classes of each image."""
        probabilities = functional.softmax(data, dim=1)
        count = min(self.topk, probabilities.shape[1])
        values, classes = probabilities.topk(count, dim=1)
        return map_class_to_label(values.tolist(), self.mapping, classes.tolist())
