"""The command `bench/instructions`: what a request costs in instructions, which repeat where times do not.

A server runs under callgrind twice, for few requests and for many; the difference, divided by the difference in
requests, leaves out start and stop. There is one connection, for counts that repeat: either each request is a turn of
the server and of the library's loop, or 16 requests arrive at once and show what the server itself spends on each.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bench import environments
from bench.environments import BUILD, ROOT, Unusable
from bench.measure import Patience, WrongAnswer, free_port, load_command, running
from bench.servers import SERVERS
from bench.workloads import WORKLOADS

LIBRARIES = ("asyncio", "uvloop", "trio", "curio")
COMMITTED = ROOT / "bench" / "instructions.json"
SHAPES = {"one": 1, "batch": 16}
"""The requests that are sent at once, by the shape's name."""
FEW, MANY = 160, 2240
"""Numbers of requests, multiples of the batches."""
TOLERANCE = 0.03
PATIENCE = Patience(start=90, stop=60)
JOBS = 2


@dataclass(frozen=True)
class Change:
    """The instructions of a request now, and as they were committed, for a library and shape as in `trio one`."""

    name: str
    now: float
    before: float | None

    @property
    def ratio(self) -> float | None:
        """Return how the cost has changed; nothing when there is nothing to compare with."""
        return self.now / self.before if self.before else None

    @property
    def failed(self) -> bool:
        """Tell whether the request has become dearer than the tolerance allows, or was never recorded."""
        return self.ratio is None or self.ratio > 1 + TOLERANCE


def parse_collected(log: str) -> int:
    """Return the instructions that callgrind counted, from what it printed at the end."""
    found = re.findall(r"Collected\s*:\s*(\d+)", log)
    if len(found) != 1:
        raise Unusable("callgrind gave no count: " + log.strip()[-300:])
    return int(found[0])


def per_request(few: int, many: int) -> float:
    """Return the instructions of one request from the counts of both runs."""
    return (many - few) / (MANY - FEW)


def count(name: str, requests: int) -> int:
    """Run a server for a number of requests and return all its instructions."""
    library, shape = name.split()
    server = SERVERS[f"tricorn-{library}"]
    workload = replace(WORKLOADS[0], connections=1, depth=SHAPES[shape])
    port = free_port()
    folder = BUILD / "callgrind"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{library}-{shape}-{requests}.log"
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={log.with_suffix('.out')}"]
    command = server.arguments(ROOT / ".venv" / "bin", f"bench.apps:{workload.app}", port)
    with running([*valgrind, *command], library, port, log, PATIENCE):
        load = [*load_command(workload, port), "--requests", str(requests)]
        done = subprocess.run(load, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongAnswer(f"{name}: {done.stderr.strip()}")
    return parse_collected(log.read_text(errors="replace"))


def count_all(names: Sequence[str]) -> dict[str, float]:
    """Return the instructions of a request for each library and shape."""
    environments.load_generator()
    count(names[0], 1)  # compiles what is not compiled yet, which only the first run would pay for
    with ThreadPoolExecutor(JOBS) as pool:
        few = {name: pool.submit(count, name, FEW) for name in names}
        many = {name: pool.submit(count, name, MANY) for name in names}
        return {name: per_request(few[name].result(), many[name].result()) for name in names}


def compare(now: Mapping[str, float], before: Mapping[str, float]) -> list[Change]:
    """Set the counts beside the committed ones."""
    return [Change(name, value, before.get(name)) for name, value in now.items()]


def table(changes: Sequence[Change]) -> str:
    """Format the counts as a Markdown table."""
    lines = [
        "| library, shape | instructions/request | committed | change | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for change in changes:
        before = "" if change.before is None else f"{change.before:,.0f}"
        moved = "" if change.ratio is None else f"{change.ratio - 1:+.1%}"
        mark = "ok" if not change.failed else "**too many**" if change.before else "not recorded"
        lines.append(f"| {change.name} | {change.now:,.0f} | {before} | {moved} | {mark} |")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Return the versions that the counts depend on besides our own code."""
    found = environments.prepare(SERVERS["tricorn-asyncio"], environments.default_python())
    known: dict[str, str] = {
        name: found.packages[name] for name in ("uvloop", "trio", "curio") if name in found.packages
    }
    return {"python": found.python.partition(" ")[0]} | known


def read_committed(path: Path) -> tuple[dict[str, str], dict[str, float]]:
    """Return versions and counts of the committed file; both empty when there is none."""
    if not path.exists():
        return {}, {}
    stored = json.loads(path.read_text())
    return stored["versions"], stored["instructions"]


def run(words: Sequence[str]) -> int:
    """Count, print and compare; 1 when a library has become dearer."""
    parser = argparse.ArgumentParser(prog="bench/instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help="record the counts in bench/instructions.json")
    parser.add_argument("--libraries", default=",".join(LIBRARIES), help="with commas (default: all four)")
    options = parser.parse_args(words)
    here = versions()
    then, before = read_committed(COMMITTED)
    now = count_all([f"{library} {shape}" for library in options.libraries.split(",") for shape in SHAPES])
    if options.update:
        merged = before | {name: round(value) for name, value in now.items()}
        COMMITTED.write_text(json.dumps({"versions": here, "instructions": merged}, indent=2) + "\n")
        _, before = read_committed(COMMITTED)
    elif then != here:
        print(f"recorded with {then}, counted with {here}: the difference may be theirs")
    changes = compare(now, before)
    print(table(changes))
    return 1 if any(change.failed for change in changes) else 0


def main() -> None:
    """Run the command and exit."""
    try:
        sys.exit(run(sys.argv[1:]))
    except (Unusable, WrongAnswer) as fault:
        sys.exit(f"bench/instructions: {fault}")
