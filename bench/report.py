"""The report: the figures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench import kinds, verdicts
from bench.environments import ROOT
from bench.facts import Facts
from bench.figures import Cell, Row, Verdict
from bench.kinds import KINDS, Column
from bench.store import Measured
from bench.verdicts import METRICS

NOTES = ROOT / "bench" / "notes"
"""A file here with a row's number as its name explains a target that the row misses."""


BEGIN, END = "<!-- figures: written by bench/run -->", "<!-- end of figures -->"

OVERVIEW = (("1", "2", "3"), ("4",), ("5",), ("6a",), ("6b",), ("7",), ("10",), ("11",))
"""The lines of the table on the project's first page: rows that are one workload on several libraries make one line."""

SERVERS_SHOWN = {
    "tricorn-asyncio": "**asyncio**",
    "tricorn-uvloop": "**uvloop**",
    "tricorn-trio": "**trio**",
    "tricorn-curio": "**curio**",
    "uvicorn": "uvicorn",
    "granian": "granian",
    "fastpysgi": "fastpysgi",
    "peregrine": "peregrine",
    "hypercorn-trio": "hypercorn, trio",
    "pyvoy-trio": "pyvoy, trio",
}
"""The columns of that table; those of Tricorn by library."""


def reference(cells: Sequence[Cell]) -> Cell | None:
    """Return the cell that the others are compared with: the first of Tricorn's that was measured."""
    return next((cell for cell in cells if cell.server.startswith("tricorn") and cell.figures), None)


def times(cell: Cell, base: Cell | None, main: str) -> str:
    """Return a server's main figure as a multiple of the reference's."""
    if base is None or not base.figures or not cell.figures or not base.figures[main]:
        return ""
    return f"{cell.figures[main] / base.figures[main]:.2f}"


def cell_line(cell: Cell, base: Cell | None, main: str, columns: Sequence[Column]) -> str:
    """Format one server's line: its main figure, the ratio to the reference, the other figures."""
    if cell.figures is None:
        reason = " ".join(cell.void.split()).replace("|", "/")
        return f"| {cell.server} | void |{' |' * len(columns)} {reason[:200]} |"
    first, *others = (column.show(cell.figures) for column in columns)
    return f"| {' | '.join([cell.server, first, times(cell, base, main), *others, cell.versions])} |"


def verdict_line(verdict: Verdict) -> str:
    """Format one target's line."""
    target = verdict.target
    words, show = METRICS[target.metric]
    compared = f"{target.server} ÷ {target.rival}" if target.rival else target.server
    measured = "" if verdict.ratio is None else show(verdict.ratio)
    return f"| {compared}, {words} | {measured} | ≤ {show(target.limit)} | {verdict_word(verdict)} |"


def verdict_word(verdict: Verdict) -> str:
    """Say whether a target is met."""
    if verdict.ratio is None:
        return "not measured"
    return "met" if verdict.met else "**missed**"


def row_section(row: Row) -> list[str]:
    """Format one workload: its table, its targets, and what is known of those that are missed."""
    main, columns = KINDS[row.workload.kind].main, kinds.columns(row.workload)
    base = reference(row.cells)
    against = f"÷ {base.server}" if base else "ratio"
    titles = ["server", columns[0].title, against, *(column.title for column in columns[1:]), "versions"]
    lines = [
        f"## {row.workload.row}. {row.workload.title}",
        "",
        f"| {' | '.join(titles)} |",
        f"| --- |{' ---: |' * (len(columns) + 1)} --- |",
        *(cell_line(cell, base, main, columns) for cell in row.cells),
        "",
    ]
    there = {cell.server for cell in row.cells}
    if missing := [server for server in row.workload.servers if server not in there]:
        lines += [f"Not measured in this run: {', '.join(missing)}.", ""]
    if row.verdicts:
        lines += ["| target | measured | wanted | |", "| --- | ---: | ---: | --- |"]
        lines += [*(verdict_line(verdict) for verdict in row.verdicts), ""]
    note = NOTES / f"{row.workload.row}.md"
    if note.exists() and not all(verdict.met for verdict in row.verdicts):
        lines += [note.read_text().strip(), ""]
    return lines


def summary_verdict(row: Row) -> str:
    """Say whether all targets of a row are met."""
    missed = sum(1 for verdict in row.verdicts if not verdict.met)
    if not row.verdicts:
        return ""
    return f"**{missed} of {len(row.verdicts)} missed**" if missed else "met"


def summary_line(row: Row) -> str:
    """Format one workload in a line: Tricorn's figure and the others' as multiples of it."""
    main, columns = KINDS[row.workload.kind].main, kinds.columns(row.workload)
    base = reference(row.cells)
    own = f"{columns[0].show(base.figures)} {columns[0].title}" if base and base.figures else "void"
    peers = [
        f"{cell.server} {times(cell, base, main) or 'void'}"
        for cell in row.cells
        if cell is not base and main != "growth"
    ]
    title = f"[{row.workload.row}](#{anchor(row)})"
    return f"| {title} | {row.workload.title} | {own} | {', '.join(peers)} | {summary_verdict(row)} |"


def anchor(row: Row) -> str:
    """Return the name that a Markdown viewer gives to a row's heading."""
    heading = f"{row.workload.row} {row.workload.title}".lower().replace(" ", "-")
    return "".join(letter for letter in heading if letter.isalnum() or letter in "-_")


def summary(rows: Sequence[Row]) -> list[str]:
    """Format all workloads, a line each."""
    return [
        "| | workload | Tricorn | the others, as multiples of that | targets |",
        "| --- | --- | --- | --- | --- |",
        *(summary_line(row) for row in rows),
        "",
    ]


def overview(rows: Sequence[Row]) -> str:
    """Format the main rows for the project's first page: CPU time of a request, a column for each server."""
    known = {row.workload.row: row for row in rows}
    lines = [
        f"| µs of CPU for a request | {' | '.join(SERVERS_SHOWN.values())} |",
        f"| --- |{' ---: |' * len(SERVERS_SHOWN)}",
    ]
    for joined in OVERVIEW:
        there = [known[number] for number in joined if number in known]
        figures: dict[str, str] = {}
        for cell in (cell for row in reversed(there) for cell in row.cells):
            figures[cell.server] = f"{cell.figures['cpu']:.1f}" if cell.figures else "void"
        if there:
            cells = " | ".join(figures.get(name, "") for name in SERVERS_SHOWN)
            lines.append(f"| {there[0].workload.title} | {cells} |")
    return "\n".join(lines)


def into_readme(readme: str, table: str) -> str:
    """Return the page with the table between its marks; a page without them as it is."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}\n{end}{after}" if begin and end else readme


def sources(measured: Mapping[str, Measured]) -> list[str]:
    """Format where and how the rows were measured: a line for those of one run, on the same code and machine."""
    runs: dict[tuple[Facts, str], list[Measured]] = {}
    for found in measured.values():
        runs.setdefault((found.facts, found.command), []).append(found)
    lines = ["| rows | begun | rounds | commit | machine | python | command |"]
    lines += ["| --- | --- | ---: | --- | --- | --- | --- |"]
    for (facts, command), run in runs.items():
        names = ", ".join(found.row for found in run)
        rounds = f"{facts.rounds} of {facts.seconds:g} s"
        place = f"{facts.machine}, {facts.kernel} | {facts.python}"
        date = min(found.date for found in run)
        lines.append(f"| {names} | {date} | {rounds} | {facts.commit} | {place} | `{command}` |")
    return lines


def markdown(rows: Sequence[Row], measured: Mapping[str, Measured]) -> str:
    """Format the whole report."""
    lines = [
        "# Benchmarks",
        "",
        "CPU time is that of the server's whole process tree, median of rounds in which the servers take turns. One "
        "worker on one core, the load generator on another; every status, length and body is "
        "checked, and one wrong answer voids the line. Requests per second depend on what else the machine "
        "does. Memory is what processes have in user space besides files. Instructions are counted by callgrind. "
        "Servers of one row can be compared; where and how each row was measured is told at the end.",
        "",
        "## Targets",
        "",
        *verdicts.table(rows),
        "## Beside the others",
        "",
        *summary(rows),
        "![Every row as bars](latest.svg)",
        "",
    ]
    for row in rows:
        lines += row_section(row)
    lines += ["## Where and how", "", *sources(measured)]
    return "\n".join(lines) + "\n"
