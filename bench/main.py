"""The command `bench/run`: every chosen workload on every server, interleaved, then the report.

The rows of earlier runs stay in the report, which tells where and how each was measured, so that a long measurement may
be made in parts. Within a row all servers are of one run.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import callgrind, environments, facts, figures, measure, memory, report, spread, store
from bench.environments import BUILD, ROOT, Environment, Unusable
from bench.kinds import KINDS, Sample
from bench.measure import Subject, WrongAnswer
from bench.servers import LIMIT, OWN, SERVERS, Server
from bench.store import Measured
from bench.workloads import MAIN_ROWS, WORKLOADS, Workload

METERS: dict[str, Callable[[Subject, float], Sample]] = {
    "requests": measure.measure_requests,
    "messages": measure.measure_requests,
    "broadcasts": measure.measure_requests,
    "bytes": measure.measure_bytes,
    "crowd": measure.measure_crowd,
    "upload": memory.measure_upload,
    "spread": spread.measure_spread,
    "idle": memory.measure_idle,
    "stall": memory.measure_stall,
    "growth": callgrind.measure_growth,
}
"""How each kind of workload is measured."""


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="bench/run", description="Measure Tricorn and its peers side by side; write tables and plots."
    )
    rows = ",".join(workload.row for workload in WORKLOADS)
    parser.add_argument("--rows", help=f"the workloads, by number; 6 stands for 6a and 6b (default: {rows})")
    parser.add_argument("--servers", help="only these servers, with commas (default: those of each workload)")
    parser.add_argument("--rounds", type=int, help="rounds of each workload (default: 3)")
    parser.add_argument("--seconds", type=float, help="measured seconds of each round (default: 2)")
    parser.add_argument("--out", type=Path, help="where the report goes (default: bench/results)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"rows {','.join(MAIN_ROWS)}, one round of a second, into build/bench/quick, unless told otherwise",
    )
    parser.add_argument(
        "--missing",
        action="store_true",
        help="only rows that the report does not have of this code, machine and way of measuring",
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no row after so many minutes")
    parser.add_argument("--fresh", action="store_true", help="forget the rows of earlier runs")
    parser.add_argument(
        "--report", action="store_true", help="measure nothing: write the report anew from its figures"
    )
    parser.add_argument(
        "--python",
        default=environments.default_python(),
        help="the interpreter of the peers (default: the one of .venv)",
    )
    options = parser.parse_args(words)
    quick = options.quick
    defaults = {
        "rows": ",".join(MAIN_ROWS) if quick else rows,
        "rounds": 1 if quick else 3,
        "seconds": 1.0 if quick else 2.0,
        "out": BUILD / "quick" if quick else ROOT / "bench" / "results",
    }
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def choose_workloads(rows: str) -> list[Workload]:
    """Return the workloads with these numbers; a number without its letter stands for all of its rows."""
    chosen: dict[str, Workload] = {}
    for row in rows.split(","):
        exact = [workload for workload in WORKLOADS if workload.row == row]
        found = exact or [workload for workload in WORKLOADS if workload.row.rstrip("abcdefghi") == row]
        if not found:
            known = ", ".join(workload.row for workload in WORKLOADS)
            raise Unusable(f"no such row: {row}; there are {known}")
        chosen |= {workload.row: workload for workload in found}
    return list(chosen.values())


def choose_servers(workloads: Sequence[Workload], names: str | None) -> dict[str, Server]:
    """Return the servers that these workloads use, or those of them that were named."""
    used = dict.fromkeys(name for workload in workloads for name in workload.servers)
    wanted = used if names is None else dict.fromkeys(names.split(","))
    unknown = [name for name in wanted if name not in SERVERS]
    if unknown:
        raise Unusable(f"no such server: {', '.join(unknown)}; there are {', '.join(SERVERS)}")
    return {name: SERVERS[name] for name in used if name in wanted}


@dataclass(frozen=True)
class Bench:
    """What is ready to be measured, and why some servers are not."""

    servers: dict[str, Server]
    ready: dict[str, Environment]
    faults: dict[str, str]
    python: str

    def gather(self, options: argparse.Namespace) -> facts.Facts:
        """Return what a run with these options is measured with."""
        interpreter = environments.same_interpreter(self.ready)
        return facts.gather(interpreter, options.rounds, options.seconds)

    def versions(self, workload: Workload) -> dict[str, str]:
        """Return the versions of a workload's servers."""
        return {
            name: self.ready[name].versions(SERVERS[name]) for name in workload.servers if name in self.ready
        }


def prepare(servers: dict[str, Server], python: str) -> Bench:
    """Install every server, and find why others cannot be used. Tricorn's own must be there."""
    ready: dict[str, Environment] = {}
    faults: dict[str, str] = {}
    for name, server in servers.items():
        try:
            ready[name] = environments.prepare(server, python)
        except Unusable as fault:
            if server.environment in (OWN, LIMIT):
                raise
            faults[name] = str(fault)
    return Bench(servers, ready, faults, python)


def attempt(subject: Subject, seconds: float) -> Sample | str:
    """Measure once; a wrong answer or a server that does not run becomes the text that voids its line."""
    try:
        return METERS[subject.workload.kind](subject, seconds)
    except (Unusable, WrongAnswer, OSError) as fault:
        return str(fault)


def show(subject: Subject, number: int, outcome: Sample | str) -> None:
    """Print one measurement."""
    kind = KINDS[subject.workload.kind]
    shown = outcome if isinstance(outcome, str) else f"{outcome[kind.main]:10.2f} {kind.unit}"
    print(f"row {subject.workload.row:3} round {number} {subject.server.name:16} {shown}", flush=True)


def measure_row(
    workload: Workload, bench: Bench, known: facts.Facts, options: argparse.Namespace
) -> Measured:
    """Measure a workload's servers in turn, round after round."""
    path = environments.framework_path(bench.python, workload.packages) if workload.packages else ""
    named = [name for name in workload.servers if name in bench.servers]
    samples: dict[str, list[Sample | str]] = {
        name: [bench.faults[name]] if name in bench.faults else [] for name in named
    }
    for number in range(1, 1 + (options.rounds if KINDS[workload.kind].repeats else 1)):
        for name in named:
            if name in bench.ready:
                subject = Subject(workload, bench.servers[name], bench.ready[name], path)
                outcome = attempt(subject, options.seconds)
                samples[name].append(outcome)
                show(subject, number, outcome)
    return Measured(workload.row, known, samples, bench.versions(workload), facts.now(), options.command)


def build_rows(measured: dict[str, Measured]) -> list[figures.Row]:
    """Turn samples into the table's rows, in the order of the workloads."""
    rows = []
    for workload in WORKLOADS:
        if found := measured.get(workload.row):
            cells = [
                figures.cell(name, found.versions.get(name, ""), found.samples[name])
                for name in workload.servers
                if name in found.samples
            ]
            rows.append(figures.row(workload, cells))
    return rows


def write_report(folder: Path, measured: dict[str, Measured], python: str) -> None:
    """Write latest.md, latest.json, and the plots of all rows and of the main ones."""
    rows = build_rows(measured)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.md").write_text(report.markdown(rows, measured))
    (folder / "latest.json").write_text(store.record(rows, measured))
    if folder.resolve() == ROOT / "bench" / "results":
        page = ROOT / "README.md"
        page.write_text(report.into_readme(page.read_text(), report.overview(rows)))
    plotting = environments.install(python, "plot", ("matplotlib",)) / "python"
    environments.run_checked([str(plotting), "-m", "bench.plot", str((folder / "latest.json").resolve())])


def renew(options: argparse.Namespace) -> int:
    """Write the report anew from the figures that are there."""
    path = options.out / "latest.json"
    if not path.exists():
        raise Unusable(f"there is no {path}")
    write_report(options.out, store.read(path), options.python)
    return 0


def is_void(row: figures.Row) -> bool:
    """Tell whether a line of Tricorn's is void."""
    return any(cell.server.startswith("tricorn") and cell.figures is None for cell in row.cells)


def run(words: Sequence[str]) -> int:
    """Measure and report; 1 when a line of Tricorn's is void."""
    options = arguments(words)
    options.command = shlex.join(["bench/run", *words])
    if options.report:
        return renew(options)
    workloads = choose_workloads(options.rows)
    environments.raise_descriptors()
    environments.load_generator()
    environments.socket_load_generator()
    environments.http2_load_generator()
    bench = prepare(choose_servers(workloads, options.servers), options.python)
    known = bench.gather(options)
    measured = {} if options.fresh else store.kept(options.out / "latest.json")
    there = {row for row, found in measured.items() if options.missing and found.facts == known}
    wanted = [workload for workload in workloads if workload.row not in there]
    fresh: dict[str, Measured] = {}
    deadline = time.monotonic() + 60 * options.minutes
    for workload in wanted:
        if time.monotonic() < deadline:
            fresh[workload.row] = measured[workload.row] = measure_row(workload, bench, known, options)
            write_report(options.out, measured, options.python)
    if options.missing and not wanted:
        print("no row is missing")
    if left := [workload.row for workload in wanted if workload.row not in fresh]:
        print(f"no time was left for the rows {', '.join(left)}")
    print(f"the report is {options.out / 'latest.md'}")
    return 1 if any(is_void(row) for row in build_rows(fresh)) else 0


def main() -> None:
    """Run the command and exit."""
    try:
        sys.exit(run(sys.argv[1:]))
    except Unusable as fault:
        sys.exit(f"bench/run: {fault}")
