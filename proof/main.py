"""The command `proof/run`: runs the parts that are asked for, prints their tables, and tells whether all held."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from proof import table
from proof.table import Line, Settings

PARTS = ("faults", "attacks", "fuzz", "soak")
"""The modules of this package that have ``lines(settings)``, in the order in which they are run."""

Lines = Callable[[Settings], Iterator[Line]]


def known() -> list[str]:
    """Return the parts that are there."""
    return [part for part in PARTS if importlib.util.find_spec(f"proof.{part}")]


def arguments(words: Sequence[str]) -> tuple[list[str], Settings]:
    """Read the command line; return the parts to run and what they are told."""
    parser = argparse.ArgumentParser(
        prog="proof/run", description="Run the proof's parts; print their tables."
    )
    usual = Settings()
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"default: all of {', '.join(known())}")
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="of the soak and of the fuzzers")
    parser.add_argument(
        "--libraries", default=",".join(usual.libraries), help="the async libraries, with commas"
    )
    parser.add_argument(
        "--out", type=Path, default=usual.out, help="where the tables go (default: proof/results)"
    )
    options = parser.parse_args(words)
    strange = set(options.parts) - set(known())
    if strange:
        parser.error(f"there is no part {', '.join(sorted(strange))}: choose from {', '.join(known())}")
    command = shlex.join(["proof/run", *words])
    libraries = tuple(options.libraries.split(","))
    return options.parts or known(), Settings(libraries, options.minutes, options.out.resolve(), command)


def collect(lines: Iterator[Line], keep: Callable[[list[Line]], object]) -> list[Line]:
    """Take a part's lines as they come, and keep them after each; one that breaks off has a line that did not hold."""
    found: list[Line] = []
    try:
        for line in lines:
            found.append(line)
            keep(found)
    except Exception as error:
        traceback.print_exc()
        found.append(Line("the run of this part", "", f"broke off: {error!r}", "to its end", False))
        keep(found)
    if not found:
        found.append(Line("the run of this part", "", "no lines", "at least one", False))
        keep(found)
    return found


def run_part(name: str, lines: Lines, title: str, settings: Settings) -> bool:
    """Run a part, print its table and write its page; tell whether every line held."""
    print(f"## {title}\n", flush=True)
    found = collect(lines(settings), lambda so_far: table.write(name, title, so_far, settings))
    print(table.markdown(found), flush=True)
    print(flush=True)
    return all(line.held for line in found)


def leave(number: int, frame: FrameType | None) -> None:
    """End as at any error, so that what a part has started ends, too."""
    sys.exit(128 + number)


def main(words: Sequence[str]) -> int:
    """Run what the command line says; return the exit code: 1 when a line did not hold."""
    parts, settings = arguments(words)
    held = True
    for name in parts:
        module = importlib.import_module(f"proof.{name}")
        title = (module.__doc__ or name).partition("\n")[0].partition(":")[0].rstrip(".")
        held = run_part(name, module.lines, title, settings) and held
    return 0 if held else 1
