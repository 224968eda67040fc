"""The command `bench/run`: every chosen workload on every server, interleaved, then the report."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import environments, figures, report
from bench.environments import ROOT, Environment, Unusable
from bench.figures import Sample
from bench.measure import WrongAnswer, measure
from bench.servers import LIMIT, OWN, SERVERS, Server
from bench.workloads import WORKLOADS, Workload

Samples = dict[str, dict[str, list[Sample | str]]]


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="bench/run", description="Measure Tricorn and its peers side by side; write tables and plots."
    )
    rows = ",".join(workload.row for workload in WORKLOADS)
    parser.add_argument("--rows", default=rows, help=f"the workloads, by number (default: {rows})")
    parser.add_argument("--servers", help="only these servers, with commas (default: those of each workload)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each workload (default: 3)")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="measured seconds of each round (default: 2)"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="where the report goes")
    parser.add_argument(
        "--python",
        default=environments.default_python(),
        help="the interpreter of the peers (default: the one of .venv)",
    )
    return parser.parse_args(words)


def choose_workloads(rows: str) -> list[Workload]:
    """Return the workloads with these numbers."""
    known = {workload.row: workload for workload in WORKLOADS}
    wanted = rows.split(",")
    unknown = [row for row in wanted if row not in known]
    if unknown:
        raise Unusable(f"no such row: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[row] for row in wanted]


def choose_servers(workloads: Sequence[Workload], names: str | None) -> dict[str, Server]:
    """Return the servers that these workloads use, or those of them that were named."""
    used = dict.fromkeys(name for workload in workloads for name in workload.servers)
    wanted = used if names is None else dict.fromkeys(names.split(","))
    unknown = [name for name in wanted if name not in SERVERS]
    if unknown:
        raise Unusable(f"no such server: {', '.join(unknown)}; there are {', '.join(SERVERS)}")
    return {name: SERVERS[name] for name in used if name in wanted}


def prepare(servers: dict[str, Server], python: str) -> tuple[dict[str, Environment], dict[str, str]]:
    """Install every server; return the environments, and why others cannot be used. Tricorn's own must be there."""
    ready: dict[str, Environment] = {}
    faults: dict[str, str] = {}
    for name, server in servers.items():
        try:
            ready[name] = environments.prepare(server, python)
        except Unusable as fault:
            if server.environment in (OWN, LIMIT):
                raise
            faults[name] = str(fault)
    return ready, faults


def attempt(workload: Workload, server: Server, environment: Environment, seconds: float) -> Sample | str:
    """Measure once; a wrong answer or a server that does not run becomes the text that voids its line."""
    try:
        return measure(workload, server, environment, seconds)
    except (Unusable, WrongAnswer) as fault:
        return str(fault)


def measure_row(
    workload: Workload,
    servers: dict[str, Server],
    ready: dict[str, Environment],
    options: argparse.Namespace,
) -> dict[str, list[Sample | str]]:
    """Measure a workload's servers in turn, round after round."""
    names = [name for name in workload.servers if name in servers and name in ready]
    outcomes: dict[str, list[Sample | str]] = {name: [] for name in names}
    for number in range(1, options.rounds + 1):
        for name in names:
            outcome = attempt(workload, servers[name], ready[name], options.seconds)
            outcomes[name].append(outcome)
            shown = (
                outcome
                if isinstance(outcome, str)
                else f"{outcome.cpu:8.2f} µs, {outcome.user:8.2f} in user mode"
            )
            print(f"row {workload.row:3} round {number} {name:16} {shown}", flush=True)
    return outcomes


def cpu_model() -> str:
    """Return the processor's name and the number of cores."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def commit() -> str:
    """Return the commit that was measured, marked when files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def gather_facts(python: str, words: Sequence[str], options: argparse.Namespace) -> report.Facts:
    """Collect what a reader needs to judge the figures or to repeat them."""
    return report.Facts(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit(),
        machine=cpu_model(),
        kernel=f"{platform.system()} {platform.release()}",
        python=python,
        command=shlex.join(["bench/run", *words]),
        rounds=options.rounds,
        seconds=options.seconds,
    )


def build_rows(
    workloads: Sequence[Workload], samples: Samples, ready: dict[str, Environment], faults: dict[str, str]
) -> list[figures.Row]:
    """Turn samples into the table's rows; servers that could not be installed stand in them as void."""
    rows = []
    for workload in workloads:
        cells = []
        for name in workload.servers:
            if name in faults:
                cells.append(figures.cell(name, "", [faults[name]]))
            elif name in samples[workload.row]:
                versions = ready[name].versions(SERVERS[name])
                cells.append(figures.cell(name, versions, samples[workload.row][name]))
        rows.append(figures.row(workload, cells))
    return rows


def write_report(
    folder: Path, rows: Sequence[figures.Row], facts: report.Facts, samples: Samples, python: str
) -> None:
    """Write latest.md, latest.json, latest.svg and latest.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.md").write_text(report.markdown(rows, facts))
    (folder / "latest.json").write_text(report.record(rows, facts, samples))
    plotting = environments.install(python, "plot", ("matplotlib",)) / "python"
    environments.run_checked([str(plotting), "-m", "bench.plot", str((folder / "latest.json").resolve())])


def run(words: Sequence[str]) -> int:
    """Measure and report; 1 when a line of Tricorn's is void."""
    options = arguments(words)
    workloads = choose_workloads(options.rows)
    servers = choose_servers(workloads, options.servers)
    environments.load_generator()
    ready, faults = prepare(servers, options.python)
    interpreter = environments.same_interpreter(ready)
    samples = {workload.row: measure_row(workload, servers, ready, options) for workload in workloads}
    rows = build_rows(workloads, samples, ready, faults)
    write_report(options.out, rows, gather_facts(interpreter, words, options), samples, options.python)
    print(f"the report is {os.path.relpath(options.out / 'latest.md')}")
    void = [
        cell
        for row in rows
        for cell in row.cells
        if cell.server.startswith("tricorn") and cell.figures is None
    ]
    return 1 if void else 0


def main() -> None:
    """Run the command and exit."""
    try:
        sys.exit(run(sys.argv[1:]))
    except Unusable as fault:
        sys.exit(f"bench/run: {fault}")
