"""A context for unit tests of handlers."""

from __future__ import annotations

from flambeau.handlers.mock_context import MockContext as MockContext
from flambeau.worker.metric_store import MetricsStore as MetricsStore
from flambeau.worker.older import get_yaml_config as get_yaml_config
