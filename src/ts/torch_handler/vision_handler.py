"""The handler of image models."""

from __future__ import annotations

from flambeau.handlers.base_handler import BaseHandler as BaseHandler
from flambeau.handlers.timer import timed as timed
from flambeau.handlers.vision_handler import VisionHandler as VisionHandler
