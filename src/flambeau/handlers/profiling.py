"""Whether torch's profiler is there, and one batch under it.

Used by ``base_handler`` when ENABLE_TORCH_PROFILER is set. torch is imported by the caller.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

PROFILER_AVAILABLE: Final = importlib.util.find_spec("torch") is not None
TRACES: Final = Path("/tmp/pytorch_profiler")  # noqa: S108 - where people look for the traces
MOST_ROWS: Final = 10


def profiled(
    run: Callable[[], Any], model_name: str, arguments: dict[str, Any] | None
) -> tuple[Any, Any]:
    """What ``run`` returns, and the profiler that watched it; the trace is written to TRACES.

    ``arguments`` are those of ``torch.profiler.profile`` and replace the default ones.
    """
    import torch  # noqa: PLC0415 - the caller has imported it

    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    chosen = dict(arguments or {"activities": activities, "record_shapes": True})
    if "on_trace_ready" not in chosen:
        folder = str(TRACES / model_name)
        chosen["on_trace_ready"] = torch.profiler.tensorboard_trace_handler(folder)
        logger.info("Saving chrome trace to : %s", folder)
    with torch.profiler.profile(**chosen) as profiler:
        result = run()
    logger.info(profiler.key_averages().table(sort_by="cpu_time_total", row_limit=MOST_ROWS))
    return result, profiler
