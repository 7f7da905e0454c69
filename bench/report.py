"""From samples to docs/performance.md: medians, ratios round by round, noise, and whether targets are met."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import flambeau
from bench import plot
from bench.measure import QUIET, Sample, tool
from bench.servers import WORK
from bench.workloads import TARGETS, WORKLOADS, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCS = Path(__file__).parent.parent / "docs"
NAMES = {
    "flambeau": "flambeau",
    "torchserve": "TorchServe",
    "mosec": "mosec",
    "bare loop": "bare loop",
}

INTRO = """# Performance

*Written by `make bench`; do not edit.*

The same handlers in flambeau, in TorchServe 0.12.0 and in mosec 0.9.8 (a server whose HTTP side is
written in Rust), one worker each, on one machine in one run. flambeau runs as installed: request
ids, access log and metrics on. TorchServe runs with its default logging and a batch delay of 5 ms,
mosec with a batch delay of 1 ms and logs at error level. *Bare loop* is a Python loop that decodes
the body and calls the handler with no server at all: the most a single worker could reach.

A ratio is the median of the ratios of each round, in which the sides were measured one after the
other; figures are medians over the rounds. Figures of different machines, or of different runs,
are not comparable; ratios are, roughly. Repeat it with `make bench` (Java is needed for
TorchServe's side).
"""


class Results:
    """Figures by workload, side and round."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[str, list[Sample]]] = {}
        self.rounds: dict[str, dict[str, list[dict[str, float]]]] = {}

    def add_samples(self, workload: str, taken: Mapping[str, Sequence[Sample]]) -> None:
        """Keep the samples of one workload."""
        self.samples[workload] = {side: list(each) for side, each in taken.items()}
        self.add_figures(
            workload, {side: [asdict(one) for one in each] for side, each in taken.items()}
        )

    def add_figures(
        self, workload: str, taken: Mapping[str, Sequence[Mapping[str, float]]]
    ) -> None:
        """Keep any named figures of one workload."""
        self.rounds[workload] = {side: [dict(one) for one in each] for side, each in taken.items()}

    def middle(self, target: Target, side: str) -> float | None:
        """The median of the target's figure, None where the side was not measured."""
        rounds = self.rounds.get(target.workload, {}).get(side)
        return median(each[target.figure] for each in rounds) if rounds else None

    def ratio(self, target: Target, side: str) -> float | None:
        """flambeau's figure over ``side``'s, median over the rounds."""
        sides = self.rounds.get(target.workload, {})
        if not sides.get("flambeau") or not sides.get(side):
            return None
        pairs = zip(sides["flambeau"], sides[side], strict=True)
        ratios = [
            ours[target.figure] / theirs[target.figure]
            for ours, theirs in pairs
            if theirs[target.figure]
        ]
        return median(ratios) if ratios else None


def figure(value: float | None) -> str:
    """Three significant digits, or a dash."""
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def asked(target: Target, ratio: float | None, limit: float | None) -> tuple[str, bool | None]:
    """The ratio with what was asked, and whether it is met; None where nothing can be said."""
    if ratio is None or limit is None:
        return "-" if ratio is None else f"{ratio:.2f}x", None
    met = ratio >= limit if target.more else ratio <= limit
    return f"{ratio:.2f}x ({'≥' if target.more else '≤'} {limit:g})", met


def target_table(results: Results) -> str:
    """The main table."""
    lines = [
        "| workload | unit | flambeau | TorchServe | mosec | against TorchServe (asked) | against mosec (asked) | of the bare loop (asked) | met |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for target in TARGETS:
        if target.workload not in results.rounds:
            continue
        sides = ("torchserve", "mosec", "bare loop")
        limits = (target.torchserve, target.mosec, target.bare)
        compared = [
            asked(target, results.ratio(target, side), limit)
            for side, limit in zip(sides, limits, strict=True)
        ]
        verdicts = [met for _, met in compared if met is not None]
        values = [
            figure(results.middle(target, side)) for side in ("flambeau", "torchserve", "mosec")
        ]
        met = "-" if not verdicts else "yes" if all(verdicts) else "**no**"
        lines.append(
            f"| {target.title} | {target.unit} | "
            + " | ".join([*values, *(text for text, _ in compared), met])
            + " |"
        )
    return "\n".join(lines)


def detail_table(results: Results) -> str:
    """Latency, cost, errors and noise of every side."""
    lines = [
        "| workload | side | requests/s | p50 ms | p99 ms | CPU µs/request | errors | other work, cores | steal, cores |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for workload in WORKLOADS:
        for side, taken in results.samples.get(workload.name, {}).items():
            names = ("rate", "p50_ms", "p99_ms", "cpu_us") if side != "bare loop" else ("rate",)
            cells = [figure(median(getattr(each, name) for each in taken)) for name in names]
            cells += ["-"] * (4 - len(cells))
            noise = [
                f"{max(getattr(each, name) for each in taken):.2f}" for name in ("others", "steal")
            ]
            lines.append(
                f"| {workload.title} | {NAMES[side]} | "
                + " | ".join([*cells, str(sum(each.errors for each in taken)), *noise])
                + " |"
            )
    return "\n".join(lines)


def start_table(results: Results) -> str:
    """Start-up and memory, with the sum over all processes."""
    lines = [
        "| side | first answer, s | front, MB | worker, MB | all processes (shared pages once), MB |",
        "|---|--:|--:|--:|--:|",
    ]
    for side, rounds in results.rounds.get("start", {}).items():
        names = ("first_answer_s", "front_mb", "worker_mb", "all_mb")
        cells = [figure(median(each[name] for each in rounds)) for name in names]
        lines.append(f"| {NAMES[side]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> str:
    """One line about where and when."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {platform.python_version()}, flambeau {flambeau.__version__}, "
        f"load from {tool()} on the same machine, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}"
    )


def page(results: Results, rounds: int, seconds: float) -> str:
    """The whole page."""
    return f"""{INTRO}
{machine()}; {rounds} rounds, {seconds:g} s per sample after 1 s of warm-up (6 s before the first).

{target_table(results)}

![requests per second against TorchServe](performance.svg)

## Latency, cost and noise

Noise columns show the worst round: cores used by anything else than the server and the load
generator, and cores the host took away. A sample above {QUIET} was taken again, twice at most.

{detail_table(results)}

## Start and memory

Memory after some seconds of load. Resident memory counts shared pages in every process that maps
them; the last column counts them once.

{start_table(results)}
"""


def write(results: Results, rounds: int, seconds: float, *, publish: bool) -> None:
    """Print the table and write the page: to docs when the run was complete, else to .bench."""
    folder = DOCS if publish else WORK
    folder.mkdir(exist_ok=True)
    text = page(results, rounds, seconds)
    (folder / "performance.md").write_text(text)
    (folder / "performance.svg").write_text(plot.bars(results))
    (WORK / "results.json").write_text(json.dumps(results.rounds, indent=1))
    print("\n" + target_table(results))
    print(f"\nwritten: {(folder / 'performance.md').relative_to(DOCS.parent)}")
    if not publish:
        print("docs/performance.md is only written by a full run: no --only, --quick or --sides.")
