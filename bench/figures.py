"""From samples to figures: medians over the rounds, ratios to rivals, and whether the targets are met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.kinds import Sample
from bench.workloads import Target, Workload


@dataclass(frozen=True)
class Cell:
    """A server on a workload: the median of its rounds, or why there is none."""

    server: str
    versions: str
    rounds: int
    figures: Sample | None
    void: str = ""


@dataclass(frozen=True)
class Verdict:
    """A target, the ratio (or figure) that was measured, and whether it is met; none when either side is void."""

    target: Target
    ratio: float | None

    @property
    def met(self) -> bool:
        """Tell whether the measured ratio is within the target."""
        return self.ratio is not None and self.ratio <= self.target.limit


@dataclass(frozen=True)
class Row:
    """A workload's part of the table."""

    workload: Workload
    cells: tuple[Cell, ...]
    verdicts: tuple[Verdict, ...]


def medians(samples: Sequence[Sample]) -> Sample:
    """Return the median of each figure."""
    return {name: median(sample[name] for sample in samples) for name in samples[0]}


def cell(server: str, versions: str, outcomes: Sequence[Sample | str]) -> Cell:
    """Sum up a server's rounds; a text in place of a sample says what went wrong and voids them all."""
    samples = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    faults = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if faults or not samples:
        return Cell(server, versions, len(outcomes), None, faults[0] if faults else "not measured")
    return Cell(server, versions, len(samples), medians(samples))


def figure(cell: Cell | None, metric: str) -> float | None:
    """Return a server's figure, if it was measured."""
    return cell.figures[metric] if cell and cell.figures else None


def verdict(target: Target, cells: Mapping[str, Cell]) -> Verdict:
    """Compare two servers' figures, or one server's figure with the bound itself, as the target says."""
    own = figure(cells.get(target.server), target.metric)
    rival = figure(cells.get(target.rival), target.metric) if target.rival else 1.0
    return Verdict(target, own / rival if own is not None and rival else None)


def row(workload: Workload, cells: Sequence[Cell]) -> Row:
    """Join a workload with what was measured; targets of servers that were left out are left out too."""
    by_name = {each.server: each for each in cells}
    wanted = [
        target
        for target in workload.targets
        if target.server in by_name and (target.rival in by_name or not target.rival)
    ]
    return Row(workload, tuple(cells), tuple(verdict(target, by_name) for target in wanted))
