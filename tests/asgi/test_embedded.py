"""A server in a task of a program that has others: it ends when that task is cancelled, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from harness import APPS, TIMEOUT


def told_by(program: str, library: str) -> tuple[Any, str]:
    """Run a program of the tests' applications; returns what it printed, and its standard error."""
    done = subprocess.run(
        [sys.executable, str(APPS / program), library],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_cancelled_from_outside(library: str) -> None:
    """Requests and lifespan are cancelled, no task is left or started anew, every socket is closed."""
    told, errors = told_by("embedded.py", library)
    cancelled = {"trio": "Cancelled", "curio": "TaskCancelled"}.get(library, "CancelledError")
    assert told == {"ends": [f"http {cancelled}"] * 8 + [f"lifespan {cancelled}"], "tasks": 0, "open": 0}
    assert "Traceback" not in errors


def test_two_in_threads(library: str) -> None:
    """Servers of one process share nothing: the requests of both wait, each in its own loop, and end well."""
    told, errors = told_by("two_threads.py", library)
    assert told == {"bodies": [f"{number:03}" for number in range(8)], "alive": 0}, errors
