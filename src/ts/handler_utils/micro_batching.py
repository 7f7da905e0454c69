"""A batch in small batches, its steps side by side."""

from __future__ import annotations

from flambeau.handlers.micro_batching import HANDLER_METHODS as HANDLER_METHODS
from flambeau.handlers.micro_batching import MicroBatching as MicroBatching
from flambeau.handlers.micro_batching import WorkerThread as WorkerThread
from flambeau.handlers.micro_batching import execute_call as execute_call
from flambeau.handlers.profiling import PROFILER_AVAILABLE as PROFILER_AVAILABLE
