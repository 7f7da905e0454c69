"""``MicroBatching``: a batch cut into small batches whose steps run side by side.

A handler sets ``self.handle = MicroBatching(self, micro_batch_size=n)``; while one small batch is
in inference the next is being prepared. Public as ``ts.handler_utils.micro_batching``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Thread, local
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flambeau.handlers.profiling import profiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flambeau.worker.context import Context

HANDLER_METHODS = ("preprocess", "inference", "postprocess")
POLL_S = 0.1
"""How long a thread waits for work before it looks whether it is to end."""


@dataclass
class WorkerThread:
    """A thread of one step, and the event that ends it."""

    event: Event
    thread: Thread


@dataclass
class _Failed:
    """What a step raised, on its way to the caller."""

    error: BaseException


def execute_call(
    in_queue: Queue[Any],
    out_queue: Queue[Any],
    handle: Callable[[Any], Any],
    thread_local_data: local,
    event: Event,
) -> None:
    """Run ``handle`` on everything in ``in_queue`` until ``event`` is set.

    Exceptions go to ``out_queue``; later steps pass them on.
    """
    while not event.is_set():
        try:
            index, value = in_queue.get(timeout=POLL_S)
        except Empty:
            continue
        thread_local_data.micro_batch_idx = index
        if not isinstance(value, _Failed):
            try:
                value = handle(value)
            except Exception as error:  # noqa: BLE001 - it is raised again where the batch is waited for
                value = _Failed(error)
        out_queue.put((index, value))


class MicroBatching:
    """Calls the three steps of ``parent_handler`` on parts of a batch, in threads."""

    def __init__(
        self,
        parent_handler: Any,
        micro_batch_size: int = 1,
        parallelism: dict[str, int] | None = None,
    ) -> None:
        self.handler = parent_handler
        self.micro_batch_size = micro_batch_size
        self.thread_groups: dict[str, list[WorkerThread]] = {name: [] for name in HANDLER_METHODS}
        self.queues: list[Queue[Any]] = [Queue() for _ in range(len(HANDLER_METHODS) + 1)]
        self.thread_local_data = local()
        self._parallelism: dict[str, int] = {}
        self.parallelism = parallelism or {}

    def __del__(self) -> None:
        self.shutdown()

    @property
    def parallelism(self) -> dict[str, int]:
        """How many threads each step has."""
        return self._parallelism

    @parallelism.setter
    def parallelism(self, parallelism: dict[str, int]) -> None:
        unknown = set(parallelism) - set(HANDLER_METHODS)
        if unknown:
            raise ValueError(f"parallelism knows {HANDLER_METHODS}, not {sorted(unknown)}")
        self._parallelism = {name: max(1, parallelism.get(name, 1)) for name in HANDLER_METHODS}
        self._update_threads()

    def _update_threads(self) -> None:
        for step, name in enumerate(HANDLER_METHODS):
            group = self.thread_groups[name]
            while len(group) > self._parallelism[name]:
                group.pop().event.set()
            while len(group) < self._parallelism[name]:
                group.append(self._started(step, name))

    def _started(self, step: int, name: str) -> WorkerThread:
        event = Event()
        thread = Thread(
            target=execute_call,
            args=(
                self.queues[step],
                self.queues[step + 1],
                getattr(self.handler, name),
                self.thread_local_data,
                event,
            ),
            name=f"micro batch {name}",
            daemon=True,
        )
        thread.start()
        return WorkerThread(event, thread)

    def shutdown(self) -> None:
        """End all threads."""
        threads = [one for group in self.thread_groups.values() for one in group]
        for one in threads:
            one.event.set()
        for one in threads:
            one.thread.join()
        for group in self.thread_groups.values():
            group.clear()

    def get_micro_batch_idx(self) -> int:
        """Which part of the batch the calling step works on."""
        return int(self.thread_local_data.micro_batch_idx)

    def _parts(self, data: list[Any]) -> Iterator[list[Any]]:
        for start in range(0, len(data), self.micro_batch_size):
            yield data[start : start + self.micro_batch_size]

    def handle(self, data: list[Any]) -> list[Any]:
        """The answers to the batch, in its order. Raises what a step raised."""
        count = 0
        for index, part in enumerate(self._parts(data)):
            self.queues[0].put((index, part))
            count += 1
        parts = dict(self.queues[-1].get() for _ in range(count))
        for value in parts.values():
            if isinstance(value, _Failed):
                raise value.error
        return [answer for index in range(count) for answer in parts[index]]

    def __call__(self, data: list[Any], context: Context) -> Any:
        """What a handler's ``handle`` does: describe, profile or answer, with HandlerTime."""
        started = perf_counter()
        self.handler.context = context
        if self.handler._is_describe():  # noqa: SLF001 - named by the handler contract
            output = [self.handler.describe_handle()]
        elif os.environ.get("ENABLE_TORCH_PROFILER"):
            arguments = getattr(self.handler, "profiler_args", None)
            output, _ = profiled(lambda: self.handle(data), context.model_name, arguments)
        elif self.handler._is_explain():  # noqa: SLF001 - as above
            output = self.handler.explain_handle(self.handler.preprocess(data), data)
        else:
            output = self.handle(data)
        elapsed_ms = round((perf_counter() - started) * 1000, 2)
        context.metrics.add_time("HandlerTime", elapsed_ms, None, "ms")
        return output
