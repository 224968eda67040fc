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
}
"""Each with its arguments, and the library that the example's page then names."""


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


def test_every_example_of_embedding_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("embed_*.py")} == {name.split()[0] for name in PROGRAMS}
