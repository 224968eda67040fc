"""What a part of the proof is told, the lines that it gives, and the table they make."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.environments import ROOT, run_checked
from bench.facts import cpu_model, now

RESULTS = ROOT / "proof" / "results"
SERVED = ("src", "python", "meson.build", "meson.options")
"""What a server is made of, as git's path specifications."""


@dataclass(frozen=True)
class Settings:
    """What the parts are told.

    Attributes:
        libraries: The async libraries that the servers run on.
        minutes: How long a part takes that can take any time: the soak for each library, the fuzzers together.
        out: The folder for the tables and for what a part keeps of a run.
        command: The command line, as the tables show it.
    """

    libraries: tuple[str, ...] = ("asyncio", "uvloop", "trio", "curio")
    minutes: float = 1.0
    out: Path = RESULTS
    command: str = "proof/run"


@dataclass(frozen=True)
class Line:
    """One claim and what came of it.

    Attributes:
        what: What was done, or looked at.
        library: The async library of the server, empty where there is none.
        figure: What was measured, with its unit.
        bound: What it must be for the claim to hold.
        held: Whether it was that.
    """

    what: str
    library: str
    figure: str
    bound: str
    held: bool


def cell(text: str) -> str:
    """Return a text as it may stand in a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def markdown(lines: Sequence[Line]) -> str:
    """Format lines as a Markdown table; the column of libraries stands where a line has one."""
    named = any(line.library for line in lines)
    titles = ["what", *(["library"] if named else []), "figure", "bound", "held"]
    rows = [f"| {' | '.join(titles)} |", f"|{' --- |' * len(titles)}"]
    for line in lines:
        held = "yes" if line.held else "**no**"
        cells = [line.what, *([line.library] if named else []), line.figure, line.bound, held]
        rows.append(f"| {' | '.join(map(cell, cells))} |")
    return "\n".join(rows)


def commit(root: Path = ROOT) -> str:
    """Return the last commit that changed what is served; a digest of what differs from it follows, if anything."""
    git = ["git", "-C", str(root)]
    last = run_checked([*git, "log", "-1", "--format=%h", "--", *SERVED]).strip()
    changed = run_checked([*git, "diff", "HEAD", "--", *SERVED])
    return f"{last}+{hashlib.sha256(changed.encode()).hexdigest()[:7]}" if changed else last


def page(title: str, lines: Sequence[Line], command: str) -> str:
    """Format the page of a part: what it is, where and when it was run and how, and its table."""
    failed = sum(1 for line in lines if not line.held)
    verdict = f"**{failed} of {len(lines)} lines did not hold**" if failed else f"all {len(lines)} lines held"
    facts = {
        "date": now(),
        "commit": commit(),
        "machine": cpu_model(),
        "command": f"`{command}`",
        "verdict": verdict,
    }
    rows = [f"| {name} | {cell(value)} |" for name, value in facts.items()]
    return "\n".join([f"# {title}", "", "| | |", "| --- | --- |", *rows, "", markdown(lines), ""])


def write(part: str, title: str, lines: Sequence[Line], settings: Settings) -> Path:
    """Write the page of a part into the folder of results, and return its path.

    Args:
        part: The part's name, which the file has, too.
        title: The page's heading.
        lines: All lines so far; a part that is long at work may write again and again.
        settings: The folder and the command.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    path = settings.out / f"{part}.md"
    path.write_text(page(title, lines, settings.command))
    return path
