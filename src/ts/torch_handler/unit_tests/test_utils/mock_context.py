"""A context for unit tests of handlers."""

from __future__ import annotations

from flambeau.compat.functions import get_yaml_config as get_yaml_config
from flambeau.compat.mock_context import MockContext as MockContext
from flambeau.worker.metric_store import MetricsStore as MetricsStore
