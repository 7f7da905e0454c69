"""Machine readings for custom collectors."""

from __future__ import annotations

from flambeau.worker.machine import collect_all as collect_all
from flambeau.worker.machine import cpu_utilization as cpu_utilization
from flambeau.worker.machine import dimension as dimension
from flambeau.worker.machine import disk_available as disk_available
from flambeau.worker.machine import disk_used as disk_used
from flambeau.worker.machine import disk_utilization as disk_utilization
from flambeau.worker.machine import gpu_utilization as gpu_utilization
from flambeau.worker.machine import memory_available as memory_available
from flambeau.worker.machine import memory_used as memory_used
from flambeau.worker.machine import memory_utilization as memory_utilization
from flambeau.worker.machine import system_metrics as system_metrics
from flambeau.worker.metric_store import Metric as Metric
from flambeau.worker.metric_values import Dimension as Dimension
