"""The command `bench/profile ROW SERVER`: a request's instructions, by the object and the function that spend them.

The server runs twice, for few requests and for many; the difference leaves out start and stop. The table goes into a
row's notes where a target is missed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from bench import environments
from bench.callgrind import PATIENCE, dump_path, load, require_valgrind, under_callgrind
from bench.environments import ROOT, Unusable
from bench.measure import Subject, WrongAnswer, free_port, running
from bench.servers import SERVERS
from bench.workloads import WORKLOADS

FEW, MANY = 640, 6400
LINE = re.compile(r"^ *([\d,]+) \([^)]*\) +(.*?):(\S.*?)(?: \[(.*)\])?$")

Costs = dict[tuple[str, str], float]
"""Instructions by object and function."""


def parse_functions(annotated: str) -> Costs:
    """Read what callgrind_annotate prints of each function."""
    costs: Costs = defaultdict(float)
    for line in annotated.splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        count, _, function, code = found.groups()
        costs[Path(code or "?").name, re.sub(r"'\d+$", "", function)] += int(count.replace(",", ""))
    return costs


def count_functions(subject: Subject, requests: int) -> Costs:
    """Run the server for a number of requests and return what each function cost."""
    port = free_port()
    out = dump_path(f"profile-{subject.server.name}-{requests}")
    with running(subject, port, under_callgrind(out), PATIENCE):
        load(subject.workload, port, requests)
    command = ["callgrind_annotate", "--tree=none", "--auto=no", "--threshold=100", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return parse_functions(done.stdout)


def per_request(few: Mapping[tuple[str, str], float], many: Mapping[tuple[str, str], float]) -> Costs:
    """Return the instructions of one request by function."""
    return {key: (cost - few.get(key, 0)) / (MANY - FEW) for key, cost in many.items()}


def table(costs: Costs, most: int) -> str:
    """Lay out objects, then the dearest functions, in Markdown."""
    total = sum(costs.values())
    objects: dict[str, float] = defaultdict(float)
    for (code, _), cost in costs.items():
        objects[code] += cost
    lines = ["| where | instructions/request | |", "| --- | ---: | ---: |"]
    lines.append(f"| in all | {total:,.0f} | 100 % |")
    for code, cost in sorted(objects.items(), key=lambda one: -one[1]):
        if cost > total / 200:
            lines.append(f"| {code} | {cost:,.0f} | {cost / total:.0%} |")
    for (code, function), cost in sorted(costs.items(), key=lambda one: -one[1])[:most]:
        lines.append(f"| {code}: `{function}` | {cost:,.0f} | {cost / total:.1%} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench/profile", description=__doc__.splitlines()[0])
    parser.add_argument("row", choices=[workload.row for workload in WORKLOADS])
    parser.add_argument("server", choices=list(SERVERS))
    parser.add_argument("--functions", type=int, default=30, help="how many to list (default: 30)")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    options = parse()
    workload = next(one for one in WORKLOADS if one.row == options.row)
    own = environments.Environment(ROOT / ".venv" / "bin", "", {})
    subject = Subject(workload, SERVERS[options.server], own)
    try:
        require_valgrind()
        few, many = count_functions(subject, FEW), count_functions(subject, MANY)
    except (Unusable, WrongAnswer, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"bench/profile: {error}")
    print(table(per_request(few, many), options.functions))
