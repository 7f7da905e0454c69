"""Image to a class for each pixel."""

from __future__ import annotations

from flambeau.handlers.image_segmenter import ImageSegmenter as ImageSegmenter
from flambeau.handlers.vision_handler import VisionHandler as VisionHandler
