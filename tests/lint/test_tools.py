"""The formatters, linters and type checkers find nothing."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from house import BUILD, ROOT, SRC, files, includes, name, run

from tricorn import _core

pytestmark = pytest.mark.timeout(1800)  # these only compute, and may run beside tests that come first

BIN = Path(sys.executable).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tricorn" / "lint"
"""What clang-tidy found clean, by all that its findings depend on: every checkout of this machine knows it."""
PYTHON_DIRS = [
    part for part in ("python", "tests", "tools", "bench", "proof", "examples") if (ROOT / part).exists()
]


def check(*command: str | Path, remedy: str) -> None:
    """Run a tool and fail with what it says."""
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, f"\n{result.stdout}{result.stderr}\n{remedy}"


def test_clang_format() -> None:
    """C is laid out by clang-format."""
    paths = [name(path) for path in files("*.c", "*.h")]
    check(
        BIN / "clang-format", "--dry-run", "-Werror", "--ferror-limit=3", *paths, remedy="Run `make format`."
    )


def test_ruff() -> None:
    """Python passes ruff's rules."""
    check(
        BIN / "ruff",
        "check",
        "-q",
        "--output-format=concise",
        *PYTHON_DIRS,
        remedy="`ruff check --fix` mends some.",
    )


def test_ruff_format() -> None:
    """Python is laid out by ruff."""
    check(BIN / "ruff", "format", "--check", "-q", *PYTHON_DIRS, remedy="Run `make format`.")


def test_mypy() -> None:
    """The package is typed, strictly."""
    check(BIN / "mypy", "--no-error-summary", remedy="Mend the types; `Any` and ignores need a reason.")


def test_stubs() -> None:
    """The stub of the extension says what the extension has."""
    check(sys.executable, "-m", "mypy.stubtest", "tricorn._core", remedy="Mend python/tricorn/_core.pyi.")


@cache
def compilations() -> dict[Path, str]:
    """The C sources of the extension, each with the compiler's arguments."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    paths = {
        (Path(command["directory"]) / command["file"]).resolve(): command["command"] for command in commands
    }
    return {path: paths[path] for path in sorted(paths) if path.is_relative_to(SRC) and path.exists()}


@cache
def surroundings() -> bytes:
    """What every finding depends on: the settings, the tool, and the headers of others, by their versions."""
    others = (sys.version, _core.versions(), os.confstr("CS_GNU_LIBC_VERSION"), run("gcc", "--version"))
    return (ROOT / ".clang-tidy").read_bytes() + f"{run(BIN / 'clang-tidy', '--version')}{others}".encode()


@cache
def included(path: Path) -> frozenset[Path]:
    """A file and the headers of ours that it includes, also by way of others."""
    found = {path}
    for _, header, ours in includes(path):
        if ours and SRC / header != path:
            found |= included(SRC / header)
    return frozenset(found)


def tidy(path: Path) -> str:
    """What clang-tidy says of a file; a file that was clean is not looked at again until something changes."""
    digest = hashlib.sha256(surroundings() + compilations()[path].replace(str(ROOT), "").encode())
    for part in sorted(included(path)):
        digest.update(f"{name(part)}\0".encode() + part.read_bytes())
    stamp = CACHE / digest.hexdigest()
    if stamp.exists():
        return ""
    system = run("gcc", "-print-file-name=include").strip()
    command = [BIN / "clang-tidy", "-p", BUILD, "--quiet", f"--extra-arg=-isystem{system}", path]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode == 0 and not result.stdout.strip():
        stamp.touch()
    return result.stdout + (result.stderr if result.returncode else "")


def test_clang_tidy() -> None:
    """C passes clang-tidy and clang's own warnings."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = "\n".join(text for text in pool.map(tidy, compilations()) if text.strip())
    assert not said, (
        f"\n{said}\nMend it; a check that is wrong for the whole project is switched off in .clang-tidy."
    )
