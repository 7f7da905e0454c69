"""Image to boxes."""

from __future__ import annotations

from flambeau.handlers.labels import map_class_to_label as map_class_to_label
from flambeau.handlers.object_detector import ObjectDetector as ObjectDetector
from flambeau.handlers.vision_handler import VisionHandler as VisionHandler
