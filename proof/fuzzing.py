"""The fuzzers, by CPU time: what a run of one finds, what is kept of it, and the ledger of all runs."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.environments import ROOT
from bench.facts import now

BUILD = ROOT / "build" / "fuzz"
CORPUS = ROOT / "fuzz" / "corpus"
REGRESSIONS = ROOT / "fuzz" / "regressions"
LEDGER = ROOT / "fuzz" / "ledger.md"
WORK = BUILD / "learned"
"""What the fuzzers have learned, a folder each, from run to run."""

LONGER = {
    "server": 4,
    "server_tls": 4,
    "http2": 4,
    "tls_records": 4,
    "stream": 4,
    "ws_frames": 4,
    "ws_deflate": 4,
}
"""How many times the others' share these have, whose inputs can do most."""

SCHEDULES = dict.fromkeys(("server", "server_tls"), ("-entropic=0", "-len_control=20"))
"""How libFuzzer chooses what to change, where its usual way takes four times as long as the inputs themselves."""

WORDS = {"forwarded": "proxy.dict", "proxy_protocol": "proxy.dict"}
LONGEST = 1024
INPUT_SECONDS = 60
"""Within which an input must be done with, on a machine that does much else."""
SLOWDOWN = 40
"""A run ends after so many times its CPU time, if the machine gives it less."""
MOST_KEPT = 150_000
"""Bytes of a target's corpus in the tree."""


@dataclass(frozen=True)
class Run:
    """What came of a run, or of several.

    Attributes:
        target: The fuzzer.
        cpu: Seconds of CPU time.
        inputs: How many it has tried.
        edges: How many edges of the code all that it knows reaches.
        found: The files with findings.
    """

    target: str
    cpu: float
    inputs: int
    edges: int
    found: tuple[str, ...] = ()

    def with_run(self, other: Run) -> Run:
        """Add another run of the same fuzzer."""
        cpu, inputs = self.cpu + other.cpu, self.inputs + other.inputs
        return Run(self.target, cpu, inputs, max(self.edges, other.edges), self.found + other.found)


def targets() -> list[str]:
    """Return the fuzzers that are built, by name."""
    return sorted(
        path.name.removeprefix("fuzz_") for path in (BUILD / "fuzz").glob("fuzz_*") if path.is_file()
    )


def shares(names: Sequence[str], cpu: float) -> dict[str, float]:
    """Divide seconds of CPU time among fuzzers."""
    parts = {name: LONGER.get(name, 1) for name in names}
    return {name: cpu * part / sum(parts.values()) for name, part in parts.items()}


def dictionary(name: str) -> Path:
    """Return the words of what a fuzzer's inputs are made of."""
    usual = "ws.dict" if name.startswith("ws_") else "http.dict"
    return ROOT / "fuzz" / WORDS.get(name, usual)


def folders(name: str) -> list[str]:
    """Return where the inputs of a fuzzer are, that to which it adds first."""
    (WORK / name).mkdir(parents=True, exist_ok=True)
    known = [WORK / name, CORPUS / name, REGRESSIONS / name]
    return [str(path) for path in known if path.is_dir()]


def used(pid: int) -> float:
    """Return the seconds of CPU time of a process so far; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_log(text: str) -> tuple[int, int]:
    """Return how many inputs a fuzzer says that it has tried, and how many edges it knows."""
    inputs = re.search(r"stat::number_of_executed_units: *(\d+)", text)
    edges = re.findall(r"^#\d+\s.* cov: (\d+) ", text, re.MULTILINE)
    return int(inputs[1]) if inputs else 0, int(edges[-1]) if edges else 0


def start(name: str, found: Path, log: Path, most: float) -> subprocess.Popen[bytes]:
    """Start a fuzzer, as little of a hindrance as can be; it ends by itself after ``most`` seconds."""
    found.mkdir(parents=True, exist_ok=True)
    command = [
        *("nice", "-n", "19", str(BUILD / "fuzz" / f"fuzz_{name}")),
        f"-max_total_time={max(1, round(most))}",
        f"-max_len={LONGEST}",
        f"-timeout={INPUT_SECONDS}",
        "-rss_limit_mb=1024",
        f"-dict={dictionary(name)}",
        f"-artifact_prefix={found}/{name}-",
        "-print_final_stats=1",
        *SCHEDULES.get(name, ()),
        *folders(name),
    ]
    environment = {**os.environ, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=environment)


def fuzz(name: str, cpu: float, most: float = math.inf) -> Run:
    """Run a fuzzer until it has had its CPU time, has found something, or has taken too long.

    Args:
        name: The fuzzer.
        cpu: Seconds of CPU time.
        most: Seconds that it may take on a machine that does much else.
    """
    found, log = BUILD / "found", BUILD / f"{name}.log"
    before = set(found.glob(f"{name}-*")) if found.is_dir() else set()
    process = start(name, found, log, min(most, SLOWDOWN * cpu))
    told = False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            break
        if not told and used(process.pid) >= cpu:
            process.send_signal(signal.SIGUSR1)  # which ends it behind the input that it is at
            told = True
        time.sleep(0.2)
    inputs, edges = read_log(log.read_text(errors="replace"))
    new = [path.name for path in sorted(set(found.glob(f"{name}-*")) - before)]
    if process.returncode != 0 and not new:
        new = [f"code {process.returncode}, see {log.name}"]
    return Run(name, usage.ru_utime + usage.ru_stime, inputs, edges, tuple(new))


def merge(name: str) -> tuple[int, int]:
    """Put what reaches an edge that the corpus does not into it, shortest first; return its files and bytes then."""
    with tempfile.TemporaryDirectory(dir=BUILD) as place:
        command = [
            *("nice", "-n", "19", str(BUILD / "fuzz" / f"fuzz_{name}")),
            *("-set_cover_merge=1", "-use_counters=0", f"-timeout={INPUT_SECONDS}", f"-max_len={LONGEST}"),
            *(place, *reversed(folders(name))),
        ]
        subprocess.run(command, check=True, capture_output=True)
        keep(sorted(Path(place).iterdir(), key=lambda path: (path.stat().st_size, path.name)), CORPUS / name)
    sizes = [path.stat().st_size for path in (CORPUS / name).iterdir()]
    return len(sizes), sum(sizes)


def keep(chosen: Iterable[Path], corpus: Path) -> None:
    """Copy inputs into a corpus that are not in it, as far as it stays small enough; seeds keep their names."""
    there = {path.read_bytes() for path in corpus.iterdir()}
    room = MOST_KEPT - sum(map(len, there))
    for path in chosen:
        data = path.read_bytes()
        if data not in there and len(data) <= room:
            room -= len(data)
            shutil.copyfile(path, corpus / path.name)


@dataclass(frozen=True)
class Entry:
    """A row of the ledger: when a fuzzer ran, and what came of it."""

    date: str
    run: Run


TITLES = "| date | target | CPU seconds | inputs | edges | findings |"

HEAD = """# Ledger of the fuzzers

Written by `tools/fuzz-hours`: a row for each fuzzer of each run. CPU seconds are those of the fuzzer's process, inputs
those that it has tried, edges those of the code that all inputs known then reach. Findings are mended, and their inputs
stand in `regressions`.
"""


def read_ledger(text: str) -> list[Entry]:
    """Return the rows of a ledger."""
    found = []
    for line in text.partition(TITLES)[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0][:1].isdigit():
            numbers = [int(cell.replace(",", "")) for cell in cells[2:5]]
            findings = tuple(cells[5].split(", ")) if cells[5] else ()
            found.append(Entry(cells[0], Run(cells[1], numbers[0], numbers[1], numbers[2], findings)))
    return found


def totals(entries: Sequence[Entry]) -> dict[str, Run]:
    """Add up the runs of each fuzzer."""
    found: dict[str, Run] = {}
    for entry in entries:
        name = entry.run.target
        found[name] = found[name].with_run(entry.run) if name in found else entry.run
    return dict(sorted(found.items()))


def cells(run: Run) -> str:
    """Format what came of a run as the cells of a row."""
    return f"{run.target} | {run.cpu:,.0f} | {run.inputs:,} | {run.edges:,} | {', '.join(run.found)} |"


def ledger(entries: Sequence[Entry]) -> str:
    """Format a ledger, its totals first."""
    sums = totals(entries)
    cpu, inputs = (
        sum(value) for value in ([r.cpu for r in sums.values()], [r.inputs for r in sums.values()])
    )
    lines = [HEAD, f"In all: {cpu / 3600:.2f} hours of CPU time, {inputs:,} inputs.", ""]
    lines += ["| all runs of | CPU seconds | inputs | edges | findings |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {cells(run)}" for run in sums.values()]
    lines += ["", TITLES, "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {entry.date} | {cells(entry.run)}" for entry in entries]
    return "\n".join(lines) + "\n"


def record(runs: Iterable[Run], path: Path = LEDGER) -> None:
    """Add runs to the ledger, with the time of now."""
    before = read_ledger(path.read_text()) if path.exists() else []
    date = now()
    path.write_text(ledger([*before, *(Entry(date, run) for run in runs)]))
