"""Memory of processes for custom collectors."""

from __future__ import annotations

from flambeau.worker.machine import check_process_mem_usage as check_process_mem_usage
from flambeau.worker.machine import get_cpu_usage as get_cpu_usage
