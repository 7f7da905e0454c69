"""Functions handlers import."""

from __future__ import annotations

from flambeau.compat.functions import deprecated as deprecated
from flambeau.compat.functions import get_yaml_config as get_yaml_config
from flambeau.compat.functions import list_classes_from_module as list_classes_from_module
from flambeau.handlers.compile_choices import PT2Backend as PT2Backend
from flambeau.handlers.compile_choices import check_valid_pt2_backend as check_valid_pt2_backend
from flambeau.handlers.labels import load_label_mapping as load_label_mapping
from flambeau.handlers.labels import map_class_to_label as map_class_to_label
from flambeau.handlers.text_cleanup import CLEANUP_REGEX as CLEANUP_REGEX
from flambeau.worker.failures import PredictionException as PredictionException
