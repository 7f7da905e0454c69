"""``python -m bench``: every workload on every side in interleaved rounds, then the report.

All servers of a workload stay up while it lasts, and for its neighbours that want the same of them;
each round visits them in another order, so that a drift of the machine's speed falls on all alike.
A disturbed sample is taken again, twice at most.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from bench import report
from bench.measure import QUIET, Sample, sample, sample_bare
from bench.pace import pace, provide_pace
from bench.results import Results
from bench.servers import COMPILED, SIDES, another_flambeau
from bench.startup import start_figures
from bench.venvs import provide
from bench.workloads import WORKLOADS, Workload
from bench.wrk import provide_wrk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.servers import Server

BARE = "bare loop"
BEFORE = "before"
START = "start"
LATENCY = "latency"
RETRIES = 2
WARM_UP = 6
"""Seconds of load before the first sample; a Java server needs the longest."""


def usual_sides() -> list[str]:
    """All sides; the compiled one where `make bench` could make it."""
    return [each for each in SIDES if each != "compiled" or COMPILED.is_dir()]


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    names = [each.name for each in WORKLOADS] + [LATENCY, START]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="one round of one second: a look, not a measurement"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=names,
        metavar="NAME",
        help=f"one of {', '.join(names)} ({LATENCY}: all rows of its table); may be repeated",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all sides (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a sample (default 3)")
    parser.add_argument(
        "--sides",
        default=",".join(usual_sides()),
        help="servers to run, comma-separated (default %(default)s)",
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="PATH",
        help="another checkout of flambeau (with its .venv), or an environment, as one more side",
    )
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.rounds, chosen.seconds = 1, 1.0
    chosen.sides = [each.strip() for each in chosen.sides.split(",")]
    if unknown := [each for each in chosen.sides if each not in SIDES]:
        parser.error(f"--sides: unknown {', '.join(unknown)}; known: {', '.join(SIDES)}")
    return chosen


def starters(chosen: argparse.Namespace) -> dict[str, Callable[[Workload], Server]]:
    """The chosen sides by name, in the order of the tables."""
    known = dict(SIDES)
    if chosen.before:
        known = {
            "flambeau": known.pop("flambeau"),
            BEFORE: another_flambeau(chosen.before),
            **known,
        }
    return {name: start for name, start in known.items() if name in [*chosen.sides, BEFORE]}


def sides_of(workload: Workload, chosen: argparse.Namespace) -> list[str]:
    """The sides that a workload is measured on in this run."""
    asked = [*workload.sides, BEFORE]
    return [each for each in starters(chosen) if each in asked] + [BARE] * (BARE in asked)


def wanted(chosen: argparse.Namespace) -> list[Workload]:
    """The workloads of this run."""
    return [
        each
        for each in WORKLOADS
        if (pace() or not each.rate)
        and (
            not chosen.only or each.name in chosen.only or (each.latency and LATENCY in chosen.only)
        )
    ]


def run_group(
    workloads: Sequence[Workload], chosen: argparse.Namespace
) -> Iterator[tuple[Workload, dict[str, list[Sample]]]]:
    """Each workload with the samples of every side in the order of the rounds, on one set of servers."""
    start = starters(chosen)
    with contextlib.ExitStack() as up:
        servers: dict[str, Server] = {}
        for name in sides_of(workloads[0], chosen):
            if name != BARE:
                servers[name] = start[name](workloads[0])
                up.callback(servers[name].stop)
                servers[name].wait_for(workloads[0])
                sample(servers[name], workloads[0], 1 if chosen.quick else WARM_UP)
        for workload in workloads:
            yield workload, run_workload(workload, servers, chosen)


def run_workload(
    workload: Workload, servers: dict[str, Server], chosen: argparse.Namespace
) -> dict[str, list[Sample]]:
    """The samples of every side, in the order of the rounds."""
    names = sides_of(workload, chosen)
    taken: dict[str, list[Sample]] = {name: [] for name in names}
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
        f"  p99.9 {taken.p999_ms:8.3f} ms  {taken.cpu_us:7.1f} µs/request  errors {taken.errors}  others {taken.others:.2f}  steal {taken.steal:.2f}"
        + ("" if taken.reached else "  NOT REACHED"),
        flush=True,
    )


def run_start(chosen: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Start-up time and memory, round by round."""
    taken: dict[str, list[dict[str, float]]] = {}
    for _ in range(chosen.rounds):
        for side, start in starters(chosen).items():
            if side != "mosec":  # it has no management API that tells its worker
                figures = start_figures(start, WORKLOADS[0])
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
    provide_pace()
    results = Results()
    for _, workloads in groupby(wanted(chosen), key=lambda each: (each.served, each.sides)):
        for workload, taken in run_group(list(workloads), chosen):
            results.add_samples(workload.name, taken)
    if not chosen.only or START in chosen.only:
        results.add_figures(START, run_start(chosen))
    partly = chosen.only or chosen.quick or chosen.before
    complete = not partly and set(chosen.sides) == set(usual_sides())
    report.write(results, chosen.rounds, chosen.seconds, publish=complete)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
