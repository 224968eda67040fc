"""The programs in examples/ that serve from inside run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

PROGRAMS = {
    "embed_asyncio.py": "asyncio",
    "embed_trio.py": "trio",
    "embed_curio.py": "curio",
    "embed_anyio.py": "asyncio",
    "embed_anyio.py trio": "trio",
    "embed_thread.py trio": "trio",
    "embed_thread.py curio": "curio",
    "embed_thread.py uvloop": "uvloop",
    "embed_notebook.py": "asyncio",
    "embed_server.py": "uvloop",
}
"""Each with its arguments, and the library that the example's page then names."""


TESTS = "embed_pytest.py"
"""The one that pytest runs."""


@pytest.mark.parametrize(("program", "library"), PROGRAMS.items())
def test_embedding_example(program: str, library: str) -> None:
    name, *arguments = program.split()
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"},
    )
    assert done.returncode == 0, done.stderr
    assert re.findall("<strong>(.*?)</strong>", done.stdout)[0].lower() in library or library == "uvloop"


def test_the_example_of_tests_passes() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
    ]
    done = subprocess.run(
        [*command, str(EXAMPLES / TESTS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=EXAMPLES,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_every_example_of_embedding_is_run() -> None:
    run = {name.split()[0] for name in PROGRAMS}
    assert {path.name for path in EXAMPLES.glob("embed_*.py")} == {*run, TESTS}


def test_the_examples_are_typed() -> None:
    """Strictly, by what the installed package says of its types; curio says nothing of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", *map(str, EXAMPLES.glob("embed_*.py"))],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error:" in line and '"curio' not in line]
    assert errors == [], done.stdout
    assert done.returncode in (0, 1), done.stderr


def test_the_docs_name_every_example() -> None:
    text = (EXAMPLES.parent / "docs" / "embedding.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("embed_*.py") if path.name not in text] == []
