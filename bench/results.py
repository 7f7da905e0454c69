"""The figures of a run, by workload, side and round, and what is said of several rounds together."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

from bench.measure import REACHED, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.workloads import Target


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

    def reached(self, workload: str, side: str) -> bool | None:
        """Whether the side kept up in most rounds; None where it was not measured."""
        rounds = self.rounds.get(workload, {}).get(side)
        return sum(map(kept_up, rounds)) * 2 > len(rounds) if rounds else None

    def middle(self, target: Target, side: str) -> float | None:
        """The median of the target's figure, None where the side was not measured or fell behind."""
        if not self.reached(target.workload, side):
            return None
        return median(
            each[target.figure] for each in self.rounds[target.workload][side] if kept_up(each)
        )

    def ratio(self, target: Target, side: str, ours: str = "flambeau") -> float | None:
        """Our figure over ``side``'s, median over the rounds in which both kept up."""
        if not (self.reached(target.workload, ours) and self.reached(target.workload, side)):
            return None
        sides = self.rounds[target.workload]
        ratios = [
            mine[target.figure] / theirs[target.figure]
            for mine, theirs in zip(sides[ours], sides[side], strict=True)
            if theirs[target.figure] and kept_up(mine) and kept_up(theirs)
        ]
        return median(ratios) if ratios else None

    def sides(self) -> set[str]:
        """Every side that was measured in anything."""
        return {side for sides in self.rounds.values() for side in sides}


def kept_up(figures: Mapping[str, float]) -> bool:
    """The side answered what it was meant to in this round."""
    return figures.get("share", 1.0) >= REACHED
