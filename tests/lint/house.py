"""What the rules of the house look at: the sources, their layers and what the build made of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
PACKAGE = ROOT / "python" / "tricorn"
BUILD = ROOT / "build" / "ext"
TABLES: frozenset[str] = frozenset()
"""Generated tables, from the root: exempt from the limits of length."""


def files(*patterns: str, under: Path = ROOT) -> list[Path]:
    """The files below a directory that match one of the patterns, sorted; nothing that was generated."""
    found = {path for pattern in patterns for path in under.rglob(pattern)}
    kept = (
        path for path in found if not {"build", ".venv", "__pycache__"} & set(path.relative_to(ROOT).parts)
    )
    return sorted(
        path for path in kept if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    )


def c_sources() -> list[Path]:
    """The C of the server: sources and headers."""
    return files("*.c", "*.h", under=SRC)


def python_sources() -> list[Path]:
    """The modules of the package."""
    return files("*.py", under=PACKAGE)


def name(path: Path) -> str:
    """A path as it is shown, from the root."""
    return str(path.relative_to(ROOT))


def layer(path: Path) -> str:
    """The layer of a C file."""
    return path.relative_to(SRC).parts[0]


def includes(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Line number, name and whether it is one of ours (in quotes) of everything that a file includes."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match[2], match[1] == '"'


def complain(problems: Iterable[str], remedy: str) -> None:
    """Fail with all problems and how to mend them, if there are any."""
    shown = list(problems)
    assert not shown, "\n  ".join(["", *shown]) + f"\n{remedy}"


@cache
def objects() -> dict[Path, Path]:
    """The object file of each C source, as built into the extension that is installed."""
    found = {}
    for path in BUILD.rglob("*.o"):
        match = re.search(r"src_([a-z]+)_(\w+)\.c\.o$", path.name) or re.fullmatch(
            r"()(\w+)\.c\.o", path.name
        )
        if match:
            found[SRC / (match[1] or "py") / f"{match[2]}.c"] = path
    missing = [name(path) for path in files("*.c", under=SRC) if path not in found]
    complain(
        missing,
        "These sources have no object file in build/ext: list them in meson.build, then `make build`.",
    )
    return {source: path for source, path in found.items() if source.exists()}


def run(*command: str | Path) -> str:
    """The output of a command that must succeed."""
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
