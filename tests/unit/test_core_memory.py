"""The binding where memory runs out: each allocation of a server at work fails in turn."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tricorn import versions

PROGRAM = Path(__file__).parent / "programs" / "nomemory.py"


@pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None,
    reason="this Python comes without _testcapi, which makes allocations fail",
)
def test_every_allocation_may_fail() -> None:
    """It is told as a MemoryError, the process lives, and serves when there is memory again."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(PROGRAM)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    assert told["status"] == 200
    assert told["cancelled"] == 2
    least = {
        "serving": 200,
        "forwarding": 60,
        "logging": 100,
        "leaving": 40,
        "waking": 20,
        "talking": 150,
        "framing": 100,
        "parsing": 100,
        "loading": 100,
        "opening": 20,
        "joining": 5,
        "bridging": 10,
    }
    if versions.has_tls():
        least |= {"certifying": 30, "knowing": 30, "streaming": 30}
        assert min(told["answered"].values()) > 30
    for scenario, failures in least.items():
        assert told[scenario]["seen"] > failures, (scenario, told[scenario])
