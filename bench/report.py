"""From samples to docs/performance.md: medians, ratios round by round, noise, and whether targets are met."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import flambeau
from bench import plot
from bench.measure import LATE, QUIET, REACHED, tool
from bench.pace import pace
from bench.servers import WORK
from bench.workloads import TARGETS, WORKLOADS, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.measure import Sample
    from bench.results import Results
    from bench.workloads import Workload

DOCS = Path(__file__).parent.parent / "docs"
NAMES = {
    "flambeau": "flambeau",
    "compiled": "compiled",
    "before": "before",
    "torchserve": "TorchServe",
    "mosec": "mosec",
    "bare loop": "bare loop",
}

INTRO = """# Performance

*Written by `make bench`; do not edit.*

The same handlers in flambeau, in TorchServe 0.12.0 and in mosec 0.9.8 (a server whose HTTP side is
written in Rust), one worker each, on one machine in one run. flambeau runs as installed: request
ids, access log and metrics on; *compiled* is the same from the compiled wheel of `make wheel`. TorchServe runs with its default logging and a batch delay of 5 ms,
mosec with a batch delay of 1 ms and logs at error level. *Bare loop* is a Python loop that decodes
the body and calls the handler with no server at all: the most a single worker could reach.

A ratio is the median of the ratios of each round, in which the sides were measured one after the
other; figures are medians over the rounds. Figures of different machines, or of different runs,
are not comparable; ratios are, roughly. Repeat it with `make bench` (Java is needed for
TorchServe's side).
"""


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


def own_figure(results: Results, target: Target) -> tuple[str, bool | None]:
    """flambeau's figure, with what was asked of it alone, and whether that is met."""
    value = results.middle(target, "flambeau")
    if results.reached(target.workload, "flambeau") is False:
        return "not reached", False
    if value is None or target.limit is None:
        return figure(value), None
    return f"{figure(value)} (≤ {target.limit:g})", value <= target.limit


def their_figure(results: Results, target: Target, side: str) -> str:
    """Another side's figure."""
    if results.reached(target.workload, side) is False:
        return "not reached"
    return figure(results.middle(target, side))


def ratio_columns(results: Results) -> list[tuple[str, str, str, Callable[[Target], float | None]]]:
    """Head, whose figure over whose, and what is asked of it. The state before is there if measured."""
    columns: list[tuple[str, str, str, Callable[[Target], float | None]]] = [
        ("against before", "flambeau", "before", lambda _: None),
        ("against TorchServe (asked)", "flambeau", "torchserve", lambda each: each.torchserve),
        ("against mosec (asked)", "flambeau", "mosec", lambda each: each.mosec),
        ("compiled against mosec", "compiled", "mosec", lambda _: None),
        ("of the bare loop (asked)", "flambeau", "bare loop", lambda each: each.bare),
    ]
    return [
        each for each in columns if not {*each[1:3]} & ({"before", "compiled"} - results.sides())
    ]


def target_table(results: Results) -> str:
    """The main table."""
    shown = [*({"compiled", "before"} & results.sides()), "torchserve", "mosec"]
    others = [side for side in NAMES if side in shown]
    columns = ratio_columns(results)
    heads = ["workload", "unit", "flambeau", *(NAMES[side] for side in others)]
    heads += [*(each[0] for each in columns), "met"]
    lines = [row(heads), "|---|---|" + "--:|" * (len(heads) - 3) + "---|"]
    for target in TARGETS:
        if target.workload not in results.rounds:
            continue
        own, own_met = own_figure(results, target)
        compared = [
            asked(target, results.ratio(target, theirs, ours), limit(target))
            for _, ours, theirs, limit in columns
        ]
        verdicts = [met for met in (own_met, *(met for _, met in compared)) if met is not None]
        met = "-" if not verdicts else "yes" if all(verdicts) else "**no**"
        theirs = [their_figure(results, target, side) for side in others]
        ratios = [text for text, _ in compared]
        lines.append(row([target.title, target.unit, own, *theirs, *ratios, met]))
    return "\n".join(lines)


def row(cells: Sequence[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def detail_table(results: Results) -> str:
    """Latency, cost, errors and noise of every side, at full load."""
    lines = [
        "| workload | side | requests/s | p50 ms | p99 ms | CPU µs/request | errors | other work, cores | steal, cores |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for workload, side, taken in measured(results, latency=False):
        names = ("rate", "p50_ms", "p99_ms", "cpu_us") if side != "bare loop" else ("rate",)
        cells = [middle(taken, name) for name in names]
        cells += ["-"] * (4 - len(cells))
        lines.append(row([workload.title, NAMES[side], *cells, *trouble(taken)]))
    return "\n".join(lines)


def latency_table(results: Results) -> str:
    """The tails, and how late the load generator itself was."""
    lines = [
        "| load | side | answered | p50 ms | p99 ms | p99.9 ms | generator late, ms | CPU µs/request | errors | other work, cores | steal, cores |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for workload, side, taken in measured(results, latency=True):
        share = f"{median(each.share for each in taken):.0%}" if workload.rate else "-"
        mark = "~" * (sum(each.late for each in taken) * 2 > len(taken))
        cells = [share, *(mark + middle(taken, name) for name in ("p50_ms", "p99_ms", "p999_ms"))]
        cells += [middle(taken, "lag_ms") if workload.rate else "-", middle(taken, "cpu_us")]
        lines.append(row([workload.title, NAMES[side], *cells, *trouble(taken)]))
    return "\n".join(lines)


def measured(results: Results, *, latency: bool) -> list[tuple[Workload, str, list[Sample]]]:
    """Workload, side and its samples: the rows of one of the two tables."""
    return [
        (workload, side, taken)
        for workload in WORKLOADS
        if workload.latency == latency
        for side, taken in results.samples.get(workload.name, {}).items()
    ]


def middle(taken: Sequence[Sample], name: str) -> str:
    """The median of one figure."""
    return figure(median(getattr(each, name) for each in taken))


def trouble(taken: Sequence[Sample]) -> list[str]:
    """All errors, and the noise of the worst round."""
    noise = [f"{max(getattr(each, name) for each in taken):.2f}" for name in ("others", "steal")]
    return [str(sum(each.errors for each in taken)), *noise]


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
        f"load from {tool()}{' and bench/pace.c' * bool(pace())} on the same machine, {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}"
    )


def page(results: Results, rounds: int, seconds: float) -> str:
    """The whole page."""
    return f"""{INTRO}
{machine()}; {rounds} rounds, {seconds:g} s per sample after 1 s of warm-up (6 s before the first).

{target_table(results)}

![requests per second against TorchServe](performance.svg)

## Full load: latency, cost and noise

Noise columns show the worst round: cores used by anything else than the server and the load
generator, and cores the host took away. A sample above {QUIET} was taken again, twice at most.

{detail_table(results)}

## Latency

One model that does nothing, one worker. At one and sixteen connections each sends its next request
when the last is answered. The other rows send at a fixed rate by 64 connections, whatever the server
does, and latency counts from the moment a request was *meant* to leave: a stall of 50 ms shows in
every request that was due in it. A rate counts as reached where at least {REACHED:.0%} of what was intended
was answered well and within the sample; p99.9 of a short sample is few requests.

The load comes from [`bench/pace.c`](../bench/pace.c), for nothing ready-made sends at a fixed rate,
counts from the intended moment, tells p99.9 and leaves two cores to the server. How late it was itself
(p99, a part of all sides' figures alike) is in the table; `~` marks rows where that is more than
{LATE:.0%} of p99.

{latency_table(results)}

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
        print(
            "docs/performance.md is only written by a full run: no --only, --quick, --sides or --before."
        )
