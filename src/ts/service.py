"""A loaded handler, and printing of old metrics."""

from __future__ import annotations

from flambeau.compat.embedded import Service as Service
from flambeau.compat.functions import get_yaml_config as get_yaml_config
from flambeau.compat.wire import create_predict_response as create_predict_response
from flambeau.worker.context import Context as Context
from flambeau.worker.context import RequestProcessor as RequestProcessor
from flambeau.worker.failures import PredictionException as PredictionException
from flambeau.worker.metric_store import emit_metrics as emit_metrics
from flambeau.worker.service import PREDICTION_METRIC as PREDICTION_METRIC
