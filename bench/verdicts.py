"""The table of verdicts: every target with the figures that it compares, their ratio, and whether it is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.figures import Row, Verdict, figure
from bench.kinds import KINDS
from bench.workloads import WORKLOADS, Target, Workload


def plain(value: float) -> str:
    """Show a ratio with three digits."""
    return f"{value:.3g}"


def count(value: float) -> str:
    """Show a number of bytes, whole."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """Show a share."""
    return f"{value:.1%}"


METRICS: dict[str, tuple[str, Callable[[float], str]]] = {
    "cpu": ("CPU", plain),
    "user": ("user time", plain),
    "p99": ("p99 latency", plain),
    "bytes": ("bytes each", count),
    "kept": ("share that does not come back", percent),
    "growth": ("growth", plain),
    "grown": ("bytes that memory grows", count),
    "share": ("share of the busier worker", percent),
}
"""What a figure is called in a target, and how it is shown."""


@dataclass(frozen=True)
class Group:
    """The verdicts of a row that differ in nothing but the server of ours."""

    row: Row
    verdicts: tuple[Verdict, ...]

    @property
    def target(self) -> Target:
        """Return what is the same for all of them, but for the server."""
        return self.verdicts[0].target

    def value(self, server: str) -> str:
        """Show a server's figure, or that it has none."""
        cells = {cell.server: cell for cell in self.row.cells}
        found = figure(cells.get(server), self.target.metric)
        if found is None:
            return "void"
        show = METRICS[self.target.metric][1]
        return show(found) if not self.target.rival or found < 1000 else count(found)

    @property
    def unit(self) -> str:
        """Return the unit of a time; other figures have theirs in what they are called."""
        if self.target.metric == "p99":
            return " µs"
        if self.target.metric not in ("cpu", "user"):
            return ""
        return " " + KINDS[self.row.workload.kind].columns[0].title.removeprefix("CPU ")


def groups(row: Row) -> list[Group]:
    """Put the verdicts together that have rival, bound and metric in common."""
    found: dict[tuple[str, float, str], list[Verdict]] = {}
    for verdict in row.verdicts:
        target = verdict.target
        found.setdefault((target.rival, target.limit, target.metric), []).append(verdict)
    return [Group(row, tuple(verdicts)) for verdicts in found.values()]


def short(server: str) -> str:
    """Return the name of a server of ours without ours: its library."""
    return server.removeprefix("tricorn-")


def own_words(group: Group) -> str:
    """Show our figures with their unit."""
    each = (
        f"{short(verdict.target.server)} {group.value(verdict.target.server)}" for verdict in group.verdicts
    )
    return ", ".join(each) + group.unit


def wanted(target: Target) -> str:
    """Say what is wanted."""
    name, show = METRICS[target.metric]
    bound = f"{name} ≤ {show(target.limit)}"
    return f"{bound} of {target.rival}" if target.rival else bound


def judged(verdicts: Iterable[Verdict]) -> str:
    """Say whether a target is reached, and where it is not, by how much."""
    faults = []
    for verdict in verdicts:
        name = short(verdict.target.server)
        if verdict.ratio is None:
            faults.append(f"{name} has no figure")
        elif not verdict.met:
            faults.append(f"{name} by {verdict.ratio / verdict.target.limit - 1:.1%}")
    return f"**not reached**: {', '.join(faults)}" if faults else "reached"


def group_line(group: Group) -> str:
    """Format the verdicts of one target."""
    target, row = group.target, group.row.workload
    rival = f"{short(target.rival)} {group.value(target.rival)}" if target.rival else ""
    ratios = (plain(verdict.ratio) if verdict.ratio is not None else "void" for verdict in group.verdicts)
    ratio = ", ".join(ratios) if target.rival else ""
    title = f"{row.title} | {wanted(target)} | {own_words(group)} | {rival} | {ratio}"
    return f"| {row.row} | {title} | {judged(group.verdicts)} |"


def row_lines(workload: Workload, row: Row | None) -> list[str]:
    """Format one workload's targets; one that was not measured says so."""
    if row is None:
        return [f"| {workload.row} | {workload.title} | | | | | no figure yet |"]
    return [group_line(group) for group in groups(row)]


def tally(rows: Sequence[Row]) -> str:
    """Say how many targets are reached."""
    verdicts = [verdict for row in rows for verdict in row.verdicts]
    met = sum(1 for verdict in verdicts if verdict.met)
    return f"{met} of {len(verdicts)} targets are reached, in {len(rows)} rows."


def table(rows: Sequence[Row]) -> list[str]:
    """Format the targets of all workloads, those without figures too."""
    known = {row.workload.row: row for row in rows}
    listed = dict.fromkeys([*(workload.row for workload in WORKLOADS), *known])
    by_row = {workload.row: workload for workload in WORKLOADS}
    lines = [
        line
        for number in listed
        for line in row_lines(
            known[number].workload if number in known else by_row[number], known.get(number)
        )
    ]
    head = "| row | workload | target | Tricorn | rival | ratio | verdict |"
    return [tally(rows), "", head, "| --- | --- | --- | --- | --- | --- | --- |", *lines, ""]
