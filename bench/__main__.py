"""``python -m bench``: every workload on every side in interleaved rounds, then the report.

All servers of a workload stay up while it lasts; each round visits them in another order, so that
a drift of the machine's speed falls on all alike. A disturbed sample is taken again, twice at most.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

from bench import report
from bench.measure import QUIET, Sample, sample, sample_bare
from bench.servers import SIDES, Server
from bench.startup import start_figures
from bench.venvs import provide
from bench.workloads import WORKLOADS, Workload
from bench.wrk import provide_wrk

if TYPE_CHECKING:
    from collections.abc import Sequence

BARE = "bare loop"
START = "start"
RETRIES = 2
WARM_UP = 6
"""Seconds of load before the first sample; a Java server needs the longest."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    names = [each.name for each in WORKLOADS] + [START]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="one round of one second: a look, not a measurement"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="NAME",
        help=f"one of {', '.join(names)}; may be repeated",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all sides (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a sample (default 3)")
    parser.add_argument(
        "--sides",
        default=",".join(SIDES),
        help=f"servers to run, comma-separated (default {','.join(SIDES)})",
    )
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.rounds, chosen.seconds = 1, 1.0
    chosen.sides = [each.strip() for each in chosen.sides.split(",")]
    if unknown := [each for each in chosen.sides if each not in SIDES]:
        parser.error(f"--sides: unknown {', '.join(unknown)}; known: {', '.join(SIDES)}")
    return chosen


def run_workload(workload: Workload, chosen: argparse.Namespace) -> dict[str, list[Sample]]:
    """The samples of every side, in the order of the rounds."""
    names = [each for each in workload.sides if each in chosen.sides or each == BARE]
    taken: dict[str, list[Sample]] = {name: [] for name in names}
    with contextlib.ExitStack() as up:
        servers: dict[str, Server] = {}
        for name in names:
            if name != BARE:
                servers[name] = SIDES[name](workload)
                up.callback(servers[name].stop)
                servers[name].wait_for(workload)
                sample(servers[name], workload, 1 if chosen.quick else WARM_UP)
        for turn in range(chosen.rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                taken[name].append(take(servers.get(name), workload, chosen))
                show(workload.name, name, taken[name][-1])
    return taken


def take(server: Server | None, workload: Workload, chosen: argparse.Namespace) -> Sample:
    """One sample of a server, or of the bare loop without one; the quietest of a few tries."""

    def once() -> Sample:
        if server is None:
            return sample_bare(workload, chosen.seconds)
        return sample(server, workload, chosen.seconds)

    if server is not None:
        sample(server, workload, 1)
    best = once()
    for _ in range(0 if chosen.quick else RETRIES):
        if best.noise <= QUIET:
            break
        best = min(best, once(), key=lambda each: each.noise)
    return best


def show(workload: str, side: str, taken: Sample) -> None:
    """One line of progress."""
    print(
        f"{workload:7} {side:11} {taken.rate:9.0f}/s  p50 {taken.p50_ms:8.3f} ms  p99 {taken.p99_ms:8.3f} ms"
        f"  {taken.cpu_us:7.1f} µs/request  errors {taken.errors}  others {taken.others:.2f}  steal {taken.steal:.2f}",
        flush=True,
    )


def run_start(chosen: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Start-up time and memory, round by round."""
    taken: dict[str, list[dict[str, float]]] = {}
    for _ in range(chosen.rounds):
        for side in ("flambeau", "torchserve"):
            if side in chosen.sides:
                figures = start_figures(side, WORKLOADS[0])
                taken.setdefault(side, []).append(figures)
                print(
                    f"start   {side:11} "
                    + "  ".join(f"{key} {value:.2f}" for key, value in figures.items()),
                    flush=True,
                )
    return taken


def main(arguments: Sequence[str]) -> int:
    """0 when everything ran, whether or not the targets are met."""
    chosen = options(arguments)
    provide(chosen.sides)
    provide_wrk()
    results = report.Results()
    for workload in WORKLOADS:
        if not chosen.only or workload.name in chosen.only:
            results.add_samples(workload.name, run_workload(workload, chosen))
    if not chosen.only or START in chosen.only:
        results.add_figures(START, run_start(chosen))
    complete = not chosen.only and not chosen.quick and set(chosen.sides) == set(SIDES)
    report.write(results, chosen.rounds, chosen.seconds, publish=complete)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
