"""Image to class probabilities with DALI."""

from __future__ import annotations

from flambeau.handlers.dali_handler import DALIHandler as DALIHandler
from flambeau.handlers.dali_image_classifier import DALIImageClassifier as DALIImageClassifier
from flambeau.handlers.labels import map_class_to_label as map_class_to_label
