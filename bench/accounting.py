"""What a process and its descendants use of CPU time and memory, from the kernel's own accounting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """CPU time so far: nanoseconds of each thread, and the ticks that were sampled in user and in system mode."""

    threads: dict[tuple[int, int], int]
    user_ticks: int
    system_ticks: int


@dataclass(frozen=True)
class Spent:
    """CPU time between two readings, in nanoseconds; `user` is the sampled share of `total`."""

    total: float
    user: float


def parse_stat(text: str) -> tuple[int, int, int]:
    """Return parent, user ticks and system ticks from the text of /proc/PID/stat (the name may hold anything)."""
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]), int(fields[12])


def descendants(root: int, parents: dict[int, int]) -> list[int]:
    """Return `root` and every process below it, given each process's parent."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found, pending = [], [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        pending.extend(children.get(pid, []))
    return sorted(found)


def process_tree(root: int, proc: Path = PROC) -> list[int]:
    """Return the running process `root` and every process below it."""
    parents = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = parse_stat((folder / "stat").read_text())[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return descendants(root, parents)


def read_usage(pids: Iterable[int], proc: Path = PROC) -> Usage:
    """Add up what the processes' threads have used; a thread that ends meanwhile is left out."""
    threads: dict[tuple[int, int], int] = {}
    user = system = 0
    for pid in pids:
        try:
            _, user_ticks, system_ticks = parse_stat((proc / str(pid) / "stat").read_text())
            for task in (proc / str(pid) / "task").iterdir():
                threads[pid, int(task.name)] = int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
        user += user_ticks
        system += system_ticks
    return Usage(threads, user, system)


def spent(before: Usage, after: Usage) -> Spent:
    """Return what was used between two readings; threads that are new count whole."""
    total = sum(run - before.threads.get(thread, 0) for thread, run in after.threads.items())
    user = after.user_ticks - before.user_ticks
    system = after.system_ticks - before.system_ticks
    share = user / (user + system) if user + system > 0 else 0.0
    return Spent(float(total), total * share)


def parse_anonymous(text: str) -> int:
    """Return the bytes of memory that belongs to no file, from the text of /proc/PID/smaps_rollup."""
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == "Anonymous":
            return int(rest.split()[0]) * 1024
    raise ValueError("no line for anonymous memory")


def read_memory(pids: Iterable[int], proc: Path = PROC) -> int:
    """Add up the processes' memory in user space that belongs to no file; one that has ended is left out."""
    total = 0
    for pid in pids:
        try:
            total += parse_anonymous((proc / str(pid) / "smaps_rollup").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total
