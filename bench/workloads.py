"""What is measured and what is asked of the result: two tables, read by the runner and the report."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = "application/json"
RAW = "application/octet-stream"


def one_byte() -> bytes:
    """The smallest request."""
    return b"x"


def small_json() -> bytes:
    """One object of exactly 1024 bytes."""
    frame = len(json.dumps({"text": "", "number": 1.5}))
    return json.dumps({"text": "a" * (1024 - frame), "number": 1.5}).encode()


def four_megabytes() -> bytes:
    """A body far over any socket buffer, below the default ``max_request_size``."""
    return bytes(4 * 1024 * 1024)


def picture() -> bytes:
    """784 numbers between 0 and 1 with three decimals, the same in every run."""
    source = random.Random(0)
    return json.dumps([round(source.random(), 3) for _ in range(784)]).encode()


@dataclass(frozen=True, slots=True)
class Workload:
    """One load on one model with one worker."""

    name: str
    title: str
    handler: str
    """A module in ``bench/handlers``."""
    batch: int
    connections: int
    body: Callable[[], bytes] = one_byte
    content_type: str = RAW
    sides: tuple[str, ...] = ("flambeau", "compiled", "torchserve", "mosec")
    delay: int = 5
    """``max_batch_delay`` in milliseconds."""
    latency: bool = False
    """A row of the latency table: the load comes from ``pace.c``."""
    rate: int = 0
    """Requests sent per second, whatever the server does. 0: as fast as answers come."""

    @property
    def served(self) -> tuple[str, int, int, str]:
        """What the servers know of a workload: neighbours that agree in it share their servers."""
        return self.handler, self.batch, self.delay, self.content_type


RATES = (1_000, 5_000, 10_000, 20_000)


def fixed_rates(batch: int) -> tuple[Workload, ...]:
    """The open loops on a model with this batch size."""
    return tuple(
        Workload(
            f"b{batch}@{rate // 1000}k",
            f"{rate:,} requests/s, batch {batch}",
            "noop",
            batch,
            64,
            latency=True,
            rate=rate,
        )
        for rate in RATES
    )


WORKLOADS = (
    Workload("b1", "batch 1, 16 connections", "noop", 1, 16),
    Workload("single", "one connection, batch 1", "noop", 1, 1, latency=True),
    Workload("sixteen", "16 connections, batch 1", "noop", 1, 16, latency=True),
    *fixed_rates(1),
    Workload("b8", "batch 8, 64 connections", "noop", 8, 64),
    *fixed_rates(8),
    Workload("b32", "batch 32, 256 connections", "noop", 32, 256),
    Workload("json", "1 KB JSON, batch 1, 16 connections", "noop", 1, 16, small_json, JSON),
    Workload("4mb", "4 MB bodies, 4 connections", "noop", 1, 4, four_megabytes),
    Workload(
        "mlp",
        "torch MLP, JSON bodies, batch 8, 64 connections",
        "mlp",
        8,
        64,
        picture,
        JSON,
        ("flambeau", "torchserve", "mosec", "bare loop"),
    ),
    Workload(
        "spin",
        "handler computing 1 ms per item, batch 1, 16 connections",
        "spin",
        1,
        16,
        sides=("flambeau", "bare loop"),
    ),
)


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the result: a figure of a workload, and the ratios asked for.

    Of a rate more is better, and its ratios are lower limits; of all other figures less is.
    """

    title: str
    workload: str
    figure: str
    unit: str
    torchserve: float | None = None
    mosec: float | None = None
    bare: float | None = None
    limit: float | None = None
    """What flambeau's own figure may be at most."""

    @property
    def more(self) -> bool:
        """More is better."""
        return self.figure == "rate"


RATE = ("rate", "requests/s")
COST = ("cpu_us", "µs")
TAIL = ("p99_ms", "ms")
MLP = "torch MLP 784-1024-1024-10, JSON, batch 8, 64 connections"

TARGETS = (
    Target("batch 1, 16 connections", "b1", *RATE, 15, 2),
    Target("batch 8, 64 connections", "b8", *RATE, 8, 1.5),
    Target("batch 32, 256 connections", "b32", *RATE, 6, 1.3),
    Target("1 KB JSON, batch 1, 16 connections", "json", *RATE, 12, 2),
    Target("4 MB bodies, 4 connections", "4mb", *RATE, 3, 1.2),
    Target("median latency at one connection", "single", "p50_ms", "ms", 0.5, 1.1),
    Target("99th percentile at one connection", "single", *TAIL, mosec=1.5),
    Target("99.9th percentile at one connection", "single", "p999_ms", "ms"),
    Target("99th percentile at 16 connections", "sixteen", *TAIL),
    *(
        Target(
            f"99th percentile at {each.title}",
            each.name,
            *TAIL,
            mosec=1.0,
            limit=5.0 if each.rate == 20_000 else None,
        )
        for each in WORKLOADS
        if each.rate
    ),
    Target(MLP, "mlp", *RATE, 1.8, 1.15, 0.93),
    Target("processor time per request, noop, batch 1", "b1", *COST, 0.1, 0.4),
    Target("processor time per request, noop, batch 8", "b8", *COST, 0.15, 0.6),
    Target("handler that computes 1 ms per item, batch 1", "spin", *RATE, bare=0.93),
    Target("start of the server to the first answer", "start", "first_answer_s", "s", 0.25),
    Target("resident memory of the front", "start", "front_mb", "MB", 0.25),
    Target("resident memory of a worker, no torch", "start", "worker_mb", "MB", 0.2),
)
