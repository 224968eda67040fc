"""From samples to figures: medians over the rounds, ratios to rivals, and whether the targets are met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.workloads import Target, Workload


@dataclass(frozen=True)
class Sample:
    """One measurement: microseconds of CPU a request (all, and in user mode), requests a second, latency in µs."""

    cpu: float
    user: float
    rate: float
    p50: float
    p99: float


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
    """A target, the ratio that was measured, and whether it is met; no ratio when either side is void."""

    target: Target
    ratio: float | None

    @property
    def met(self) -> bool:
        """Tell whether the measured ratio is within the target."""
        return self.ratio is not None and self.ratio <= self.target.limit


@dataclass(frozen=True)
class Row:
    """A workload's part of the table."""

    row: str
    title: str
    cells: tuple[Cell, ...]
    verdicts: tuple[Verdict, ...]


def medians(samples: Sequence[Sample]) -> Sample:
    """Return the median of each figure."""
    return Sample(
        cpu=median(sample.cpu for sample in samples),
        user=median(sample.user for sample in samples),
        rate=median(sample.rate for sample in samples),
        p50=median(sample.p50 for sample in samples),
        p99=median(sample.p99 for sample in samples),
    )


def cell(server: str, versions: str, outcomes: Sequence[Sample | str]) -> Cell:
    """Sum up a server's rounds; a text in place of a sample says what went wrong and voids them all."""
    samples = [outcome for outcome in outcomes if isinstance(outcome, Sample)]
    faults = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if faults or not samples:
        return Cell(server, versions, len(outcomes), None, faults[0] if faults else "not measured")
    return Cell(server, versions, len(samples), medians(samples))


def verdict(target: Target, cells: Mapping[str, Cell]) -> Verdict:
    """Compare two servers' figures as the target says."""
    own, rival = cells.get(target.server), cells.get(target.rival)
    if own is None or rival is None or own.figures is None or rival.figures is None:
        return Verdict(target, None)
    divisor = float(getattr(rival.figures, target.metric))
    return Verdict(target, float(getattr(own.figures, target.metric)) / divisor if divisor else None)


def row(workload: Workload, cells: Sequence[Cell]) -> Row:
    """Join a workload with what was measured; targets of servers that were left out are left out too."""
    by_name = {each.server: each for each in cells}
    wanted = [target for target in workload.targets if target.server in by_name and target.rival in by_name]
    return Row(
        workload.row, workload.title, tuple(cells), tuple(verdict(target, by_name) for target in wanted)
    )
