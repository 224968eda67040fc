"""Counting a server's instructions under valgrind's callgrind; they repeat where times do not.

There are two ways. A server whose start is cheap is run twice, for few requests and for many; the difference leaves out
start and stop. Of one whose start is dear, the application marks the places between phases (`apps:marked`).
Such a server sees the clock of clock.c, as time slices that end by the true one would make every count another.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.environments import BUILD, Unusable, steady_clock
from bench.kinds import Sample, growth
from bench.measure import Patience, Subject, WrongAnswer, free_port, load_command, running
from bench.workloads import Point, Workload

PATIENCE = Patience(start=90, stop=60)


def parse_collected(log: str) -> int:
    """Return the instructions that callgrind counted, from what it printed at the end."""
    found = re.findall(r"Collected\s*:\s*(\d+)", log)
    if len(found) != 1:
        raise Unusable("callgrind gave no count: " + log.strip()[-300:])
    return int(found[0])


def require_valgrind() -> None:
    """Fail with a remedy where valgrind is missing."""
    if shutil.which("valgrind") is None:
        raise Unusable(
            "valgrind is missing: run `make test` once, or install it (Debian: apt-get install valgrind)"
        )


def dump_path(name: str) -> Path:
    """Return where callgrind writes what it has counted."""
    folder = BUILD / "callgrind"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.out"


def under_callgrind(out: Path, *options: str) -> list[str]:
    """Return what has the command behind it counted."""
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *options]


def load(workload: Workload, port: int, requests: int) -> None:
    """Send so many requests, and check the answers."""
    command = [*load_command(workload, port), "--requests", str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongAnswer(done.stderr.strip())


def count(subject: Subject, requests: int) -> int:
    """Run a server for a number of requests and return all its instructions."""
    port = free_port()
    out = dump_path(f"{subject.workload.row}-{subject.server.name}-{requests}")
    with running(subject, port, under_callgrind(out), PATIENCE):
        load(subject.workload, port, requests)
    return parse_collected(subject.log.read_text(errors="replace"))


def parse_total(dump: str) -> int:
    """Return the instructions of one of callgrind's dumps."""
    found = re.findall(r"^totals: (\d+)$", dump, re.MULTILINE)
    if len(found) != 1:
        raise Unusable("callgrind's dump has no total")
    return int(found[0])


def connection(port: int, *, tls: bool) -> http.client.HTTPConnection:
    """Return a connection to a server, whose certificate is not looked at."""
    if not tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)


def mark(port: int, *, tls: bool = False) -> None:
    """Have the application end a phase: callgrind dumps what it has counted since the last."""
    with contextlib.closing(connection(port, tls=tls)) as client:
        client.request("GET", "/mark")
        answer = client.getresponse()
        if answer.status != 200 or answer.read() != b"Hello, world!":
            raise WrongAnswer(f"the mark was answered with {answer.status}")


def count_phases(subject: Subject, phases: Sequence[tuple[Workload, int]]) -> list[int]:
    """Run a server of `apps:marked` once and return the instructions of each phase, so many requests of a workload."""
    port, out = free_port(), dump_path(f"{subject.workload.row}-{subject.server.name}")
    counting = under_callgrind(out, "--dump-before=getpriority", "--dump-line=no")
    prefix = ["env", f"LD_PRELOAD={steady_clock()}", *counting]
    for old in out.parent.glob(out.name + "*"):
        old.unlink()
    with running(subject, port, prefix, PATIENCE):
        tls = subject.workload.tls
        mark(port, tls=tls)
        for workload, requests in phases:
            load(workload, port, requests)
            mark(port, tls=tls)
    dumps = [out.with_name(f"{out.name}.{number}") for number in range(2, len(phases) + 2)]
    if not dumps[-1].exists():
        raise Unusable("callgrind saw no mark: " + subject.log.read_text(errors="replace")[-300:])
    return [parse_total(dump.read_text()) for dump in dumps]


def per_request(few: tuple[int, int], many: tuple[int, int]) -> float:
    """Return the instructions of one request from both runs: numbers of requests, and what they cost in all."""
    return (many[1] - few[1]) / (many[0] - few[0])


def count_point(subject: Subject, point: Point) -> float:
    """Return the instructions of a request at one size."""
    few, many = count(subject, point.few), count(subject, point.many)
    return per_request((point.few, few), (point.many, many))


def measure_growth(subject: Subject, seconds: float) -> Sample:
    """Count the instructions of a request at each size."""
    del seconds
    require_valgrind()
    workload = subject.workload
    costs = {}
    for point in workload.points:
        sized = Subject(point.of(workload), subject.server, subject.environment, subject.path)
        costs[point.size] = count_point(sized, point)
    return {str(size): cost for size, cost in costs.items()} | {"growth": growth(costs, workload.marginal)}
