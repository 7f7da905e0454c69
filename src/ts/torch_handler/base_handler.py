"""The handler most handlers derive from."""

from __future__ import annotations

from flambeau.compat.functions import list_classes_from_module as list_classes_from_module
from flambeau.handlers.base_handler import IPEX_AVAILABLE as IPEX_AVAILABLE
from flambeau.handlers.base_handler import ONNX_AVAILABLE as ONNX_AVAILABLE
from flambeau.handlers.base_handler import PROFILER_AVAILABLE as PROFILER_AVAILABLE
from flambeau.handlers.base_handler import PT2_AVAILABLE as PT2_AVAILABLE
from flambeau.handlers.base_handler import PT230_AVAILABLE as PT230_AVAILABLE
from flambeau.handlers.base_handler import XLA_AVAILABLE as XLA_AVAILABLE
from flambeau.handlers.base_handler import BaseHandler as BaseHandler
from flambeau.handlers.base_handler import logger as logger
from flambeau.handlers.base_handler import setup_ort_session as setup_ort_session
from flambeau.handlers.compile_choices import check_valid_pt2_backend as check_valid_pt2_backend
from flambeau.handlers.labels import load_label_mapping as load_label_mapping
from flambeau.handlers.timer import timed as timed
