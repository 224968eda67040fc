"""A server in a task of a program that has others: it ends when that task is cancelled, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys

from harness import APPS, TIMEOUT


def test_cancelled_from_outside(library: str) -> None:
    """Requests and lifespan are cancelled, no task is left or started anew, every socket is closed."""
    done = subprocess.run(
        [sys.executable, str(APPS / "embedded.py"), library],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    cancelled = {"trio": "Cancelled", "curio": "TaskCancelled"}.get(library, "CancelledError")
    assert told == {"ends": [f"http {cancelled}"] * 8 + [f"lifespan {cancelled}"], "tasks": 0, "open": 0}
    assert "Traceback" not in done.stderr
