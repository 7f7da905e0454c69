"""The collector as a program: ``python -m ts.metrics.metric_collector --gpu 0``."""

from __future__ import annotations

from flambeau.worker.machine import check_process_mem_usage as check_process_mem_usage
from flambeau.worker.machine import main as main
from ts.metrics import system_metrics as system_metrics

if __name__ == "__main__":
    main()
