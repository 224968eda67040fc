"""The command keeps freed memory for what comes next: dozens of bodies do not shrink and grow the heap."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, json, sys
from tricorn.errors import StartupError
from tricorn.server import run
from tricorn.config import Config

if sys.argv[1] == "run":
    try:
        run(Config("no_such_module:app"))
    except StartupError:
        pass
end = ctypes.CDLL(None).sbrk
end.restype, end.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
moves = 0
for _ in range(20):
    blocks = [bytes(10_000) for _ in range(100)]
    before = end(0)
    del blocks
    moves += end(0) != before
print(json.dumps(moves))
"""


@pytest.mark.skipif("TRICORN_TEST_SANITIZED" in os.environ, reason="a sanitizer has an allocator of its own")
@pytest.mark.parametrize("run", [True, False])
def test_bodies_that_come_and_go_leave_the_heap_alone(run: bool) -> None:
    """Without the command the heap shrinks whenever they go: else this would show nothing."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "run" if run else "not"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    moves = json.loads(done.stdout)
    assert moves == 0 if run else moves > 5
