"""Image to class probabilities."""

from __future__ import annotations

from flambeau.handlers.image_classifier import ImageClassifier as ImageClassifier
from flambeau.handlers.labels import map_class_to_label as map_class_to_label
from flambeau.handlers.timer import timed as timed
from flambeau.handlers.vision_handler import VisionHandler as VisionHandler
