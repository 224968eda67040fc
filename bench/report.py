"""The report: the figures as Markdown and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.figures import Cell, Row, Verdict

METRICS = {"cpu": "CPU", "user": "user time", "p99": "p99 latency"}


@dataclass(frozen=True)
class Facts:
    """Where, when and how the figures were measured."""

    date: str
    commit: str
    machine: str
    kernel: str
    python: str
    command: str
    rounds: int
    seconds: float


def reference(cells: Sequence[Cell]) -> Cell | None:
    """Return the cell that the others are compared with: the first of Tricorn's that was measured."""
    return next((cell for cell in cells if cell.server.startswith("tricorn") and cell.figures), None)


def cell_line(cell: Cell, base: Cell | None) -> str:
    """Format one server's line."""
    figures = cell.figures
    if figures is None:
        reason = " ".join(cell.void.split()).replace("|", "/")
        return f"| {cell.server} | void | | | | | | {reason[:200]} |"
    times = f"{figures.cpu / base.figures.cpu:.2f}" if base and base.figures else ""
    return (
        f"| {cell.server} | {figures.cpu:.2f} | {figures.user:.2f} | {figures.cpu - figures.user:.2f} | {times} "
        f"| {figures.rate:,.0f} | {figures.p50:.0f} / {figures.p99:.0f} | {cell.versions} |"
    )


def verdict_line(verdict: Verdict) -> str:
    """Format one target's line."""
    target = verdict.target
    name = f"{target.server} ÷ {target.rival}, {METRICS[target.metric]}"
    if verdict.ratio is None:
        return f"| {name} | | ≤ {target.limit:.3g} | not measured |"
    return (
        f"| {name} | {verdict.ratio:.3g} | ≤ {target.limit:.3g} | {'met' if verdict.met else '**missed**'} |"
    )


def row_section(row: Row) -> list[str]:
    """Format one workload: its table, then its targets."""
    base = reference(row.cells)
    against = f"÷ {base.server}" if base else "ratio"
    lines = [
        f"## {row.row}. {row.title}",
        "",
        f"| server | CPU µs/request | user | system | {against} | requests/s | latency p50 / p99 µs | versions |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        *(cell_line(cell, base) for cell in row.cells),
        "",
    ]
    if row.verdicts:
        lines += ["| target | measured | wanted | |", "| --- | ---: | ---: | --- |"]
        lines += [*(verdict_line(verdict) for verdict in row.verdicts), ""]
    return lines


def markdown(rows: Sequence[Row], facts: Facts) -> str:
    """Format the whole report."""
    lines = [
        "# Benchmarks",
        "",
        f"CPU time per request of the server's whole process tree, median of {facts.rounds} interleaved rounds of "
        f"{facts.seconds:g} s. One worker on one core, the load generator on another; every status, length and body is "
        "checked, and one wrong answer voids the line. Requests per second depend on what else the machine does.",
        "",
        "![CPU time per request](latest.svg)",
        "",
    ]
    for row in rows:
        lines += row_section(row)
    lines += ["## Where and how", "", "| | |", "| --- | --- |"]
    known = dataclasses.asdict(facts)
    lines += [f"| {name} | {known[name]} |" for name in ("date", "commit", "machine", "kernel", "python")]
    lines += [f"| command | `{facts.command}` |", ""]
    return "\n".join(lines)


def verdict_record(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as plain values."""
    return {**dataclasses.asdict(verdict.target), "ratio": verdict.ratio, "met": verdict.met}


def record(rows: Sequence[Row], facts: Facts, samples: Mapping[str, Mapping[str, Sequence[Any]]]) -> str:
    """Return figures, verdicts and every sample as JSON, for the plot and for later comparison."""
    plain = [
        {
            "row": row.row,
            "title": row.title,
            "cells": [dataclasses.asdict(cell) for cell in row.cells],
            "verdicts": [verdict_record(verdict) for verdict in row.verdicts],
            "samples": {
                name: [plain_sample(each) for each in found] for name, found in samples[row.row].items()
            },
        }
        for row in rows
    ]
    return json.dumps({"facts": dataclasses.asdict(facts), "rows": plain}, indent=1) + "\n"


def plain_sample(outcome: Any) -> Any:
    """Return a sample as plain values; the text of a failure stays as it is."""
    return outcome if isinstance(outcome, str) else dataclasses.asdict(outcome)
