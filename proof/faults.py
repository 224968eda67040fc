"""Faults of the machine: what a server does when memory, descriptors, disks, clocks or workers fail it.

Every allocation and every system call of the core fails in turn in programs in C; the binding's allocations in one to
which CPython refuses them. What a whole server does is run on each library, by tests that tell their figures.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from bench.environments import ROOT

from proof.table import Line, Settings

PATIENCE = 1800
"""Seconds that a program or a library's tests may take."""

BUILD = ROOT / "build" / "core"
PROGRAMS = {
    "server_faults": "HTTP/1.1, HTTP/2, WebSockets: each allocation fails, alone, with three more, for good",
    "server_tls_faults": "HTTP/1.1 and HTTP/2 over TLS: each allocation and each system call fails",
    "tls_faults": "a connection of TLS: each allocation fails, OpenSSL's own as well",
    "ws_faults": "frames of WebSockets, compressed or not: each allocation fails",
    "server_syscalls": "HTTP/1.1, HTTP/2, WebSockets: each system call fails, with each errno, or does less",
    "start_syscalls": "listeners, workers, logs, the watchdog: each system call fails, with each errno",
}
"""Programs of tests/core, and what they do."""

TESTS = {
    "test_accept_faults": "accepting fails",
    "test_clocks": "clocks jump",
    "test_full_disk": "the logs' disk is full",
    "test_workers_lost": "workers are killed and stopped",
}
"""Modules of tests/asgi, and what happens in them."""

AT_ONCE = 2
"""Tests that run at a time: they mostly wait."""


def program(name: str, what: str) -> Line:
    """Run a program of the core's tests; its checks include that nothing leaks and nobody spins."""
    path = BUILD / "tests" / "core" / f"test_{name}"
    done = subprocess.run([path], capture_output=True, text=True, timeout=PATIENCE, check=False)
    told = re.search(r"^(\d+) passed, (\d+) failed$", done.stdout, re.MULTILINE)
    passed, failed = (int(told[1]), int(told[2])) if told else (0, 1)
    tried = [
        f"{sum(int(n) for n in found):,} {kind}"
        for kind in ("allocations", "faults")
        if (found := re.findall(rf"^(\d+) {kind}$", done.stdout, re.MULTILINE))
    ]
    figure = ", ".join([*tried, f"{passed:,} checks passed, {failed} failed"])
    held = done.returncode == 0 and failed == 0 and passed > 0 and bool(tried)
    return Line(what, "", figure, "lives, leaks nothing, serves the next", held)


def programs() -> Iterator[Line]:
    """Build and run those of the core."""
    targets = [f"tests/core/test_{name}" for name in PROGRAMS]
    ninja = Path(sys.executable).with_name("ninja")
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["make", "build/core/build.ninja"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([ninja, "-C", BUILD, *targets], check=True, stdout=subprocess.DEVNULL)
    for name, what in PROGRAMS.items():
        yield program(name, what)


def binding() -> Line:
    """Have each allocation of the binding fail, as CPython's tests do."""
    what = "the binding: each allocation fails"
    bound = "a MemoryError, lives, serves afterwards"
    if importlib.util.find_spec("_testcapi") is None:
        return Line(what, "", "this Python has no _testcapi, which makes allocations fail", bound, False)
    path = ROOT / "tests" / "unit" / "programs" / "nomemory.py"
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        return Line(what, "", f"exit code {done.returncode}", bound, False)
    told = json.loads(done.stdout)
    scenarios = [one for one in told.values() if isinstance(one, dict) and "seen" in one]
    failed = sum(one["last"] for one in scenarios)
    seen = sum(one["seen"] for one in scenarios)
    figure = (
        f"{failed:,} allocations in {len(scenarios)} scenarios, {seen:,} seen, {len(told['wrong'])} wrong"
    )
    made = bool(scenarios) and all(one["last"] > 0 and one["seen"] > 0 for one in scenarios)
    return Line(what, "", figure, bound, made and told["wrong"] == [] and told["status"] == 200)


@dataclass
class Tally:
    """What came of the runs of one test on one library."""

    runs: int = 0
    failed: int = 0
    skipped: int = 0
    figures: dict[str, int] = field(default_factory=dict)

    def add(self, case: ElementTree.Element) -> None:
        """Count a run, and add up the figures that it has told."""
        self.runs += 1
        self.failed += case.find("failure") is not None or case.find("error") is not None
        self.skipped += case.find("skipped") is not None
        for each in case.iter("property"):
            name, value = each.get("name", ""), int(each.get("value", "0"))
            self.figures[name] = self.figures.get(name, 0) + value

    def line(self, what: str, library: str) -> Line:
        """Return it as a line; what could not be run has not held."""
        told = [f"{value:,} {name}" for name, value in self.figures.items()]
        runs = f"{self.runs} run{'s' * (self.runs != 1)}, {self.failed} failed"
        skipped = [f"{self.skipped} skipped"] if self.skipped else []
        held = self.runs > 0 and self.failed == self.skipped == 0
        return Line(what, library, ", ".join([runs, *skipped, *told]), "each run holds", held)


def tallies(report: Path) -> dict[tuple[str, str], Tally]:
    """Read the report of a run of tests: a tally for each module's tests, whatever their parameters."""
    found: dict[tuple[str, str], Tally] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.get("classname", "").rpartition(".")[2]
        name = case.get("name", "").partition("[")[0]
        found.setdefault((module, name), Tally()).add(case)
    return dict(sorted(found.items()))


def in_words(name: str) -> str:
    """Return a test's name as a sentence."""
    return name.removeprefix("test_").replace("_", " ")


def run_tests(library: str, report: Path) -> str:
    """Run the tests on one library, which go into the report; returns the last line of what they print."""
    paths = [ROOT / "tests" / "asgi" / f"{name}.py" for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(AT_ONCE), "-o", "junit_family=xunit1"]
    done = subprocess.run(
        [*command, f"--libraries={library}", f"--junit-xml={report}", *paths],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return (done.stdout.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def on_library(library: str) -> Iterator[Line]:
    """Have a library's servers meet the faults of the machine."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        last = run_tests(library, report)
        told = tallies(report) if report.exists() else {}
    for module, what in TESTS.items():
        those = [(name, tally) for (at, name), tally in told.items() if at == module]
        if not those:
            yield Line(what, library, f"no test has run: {last}", "each run holds", False)
        for name, tally in those:
            yield tally.line(f"{what}: {in_words(name)}", library)


def lines(settings: Settings) -> Iterator[Line]:
    """Give the lines of the core, of the binding, and of each library."""
    yield from programs()
    yield binding()
    for library in settings.libraries:
        yield from on_library(library)
