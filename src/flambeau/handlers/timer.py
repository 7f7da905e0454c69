"""Timing of a handler's steps and of any function.

``timed`` decorates methods of handlers (``ts.handler_utils.timer``); ``timeit`` anything
(``ts.utils.timeit_decorator``). Light: torch is used only if it is there already.
"""

from __future__ import annotations

import functools
import logging
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)


def timed(func: Callable[..., R]) -> Callable[..., R]:
    """``func``, recording ``ts_handler_<name>`` when the model config says ``handler.profile``."""

    @functools.wraps(func)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> R:
        config = getattr(self.context, "model_yaml_config", None) or {}
        if not (config.get("handler") or {}).get("profile"):
            return func(self, *args, **kwargs)
        started = _now()
        result = func(self, *args, **kwargs)
        elapsed_ms = (_now() - started) * 1000
        self.context.metrics.add_time(f"ts_handler_{func.__name__}", elapsed_ms)
        return result

    return wrapped


def _now() -> float:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()  # what was asked of the device belongs to the step
    return perf_counter()


def timeit(func: Callable[P, R]) -> Callable[P, R]:
    """``func``, logging the milliseconds of each call."""

    @functools.wraps(func)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        started = perf_counter()
        result = func(*args, **kwargs)
        logger.info("%s took %.3f ms", func.__name__, (perf_counter() - started) * 1000)
        return result

    return wrapped
