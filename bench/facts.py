"""Where and how figures were measured, and when figures of two runs may be compared."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.environments import ROOT, run_checked

MEASURED = (
    *("src", "python", "meson.build", "meson.options", "bench"),
    *(":!bench/results", ":!bench/notes", ":!bench/README.md", ":!bench/instructions.json"),
    *(":!bench/report.py", ":!bench/verdicts.py", ":!bench/plot.py", ":!bench/store.py"),
)
"""What figures depend on, as git's path specifications."""


@dataclass(frozen=True)
class Facts:
    """Where and how the figures of a row were measured. Figures of runs with equal facts may be compared."""

    commit: str
    machine: str
    kernel: str
    python: str
    rounds: int
    seconds: float


def cpu_model() -> str:
    """Return the processor's name and the number of cores."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def commit(root: Path = ROOT) -> str:
    """Return the last commit that changed what is measured; a digest of what differs from it follows, if anything."""
    git = ["git", "-C", str(root)]
    last = run_checked([*git, "log", "-1", "--format=%h", "--", *MEASURED]).strip()
    changed = run_checked([*git, "diff", "HEAD", "--", *MEASURED])
    return f"{last}+{hashlib.sha256(changed.encode()).hexdigest()[:7]}" if changed else last


def now() -> str:
    """Return the time to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def gather(python: str, rounds: int, seconds: float) -> Facts:
    """Collect what a reader needs to judge the figures or to repeat them."""
    kernel = f"{platform.system()} {platform.release()}"
    return Facts(commit(), cpu_model(), kernel, python, rounds, seconds)
