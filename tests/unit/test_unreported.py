"""What `make asan` runs the tests by: reports of sanitizers that no exit code tells of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "unreported"


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run some Python by the tool."""
    return subprocess.run(
        [sys.executable, TOOL, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_without_a_report(code: int) -> None:
    done = run(f"import sys; print('out'); print('err', file=sys.stderr); sys.exit({code})")
    assert (done.returncode, sorted(done.stdout.split()), done.stderr) == (code, ["err", "out"], "")


@pytest.mark.parametrize(
    "report",
    [
        "==7==ERROR: LeakSanitizer: detected memory leaks",
        "==7==ERROR: AddressSanitizer: heap-use-after-free",
        "src/a.c:3:5: runtime error: signed integer overflow",
    ],
)
def test_a_report_fails(report: str) -> None:
    done = run(f"print('x' * 100_000 + {report!r})")
    assert done.returncode == 1 and "a sanitizer has reported something" in done.stderr
    assert report in done.stdout


def test_a_report_that_comes_in_pieces() -> None:
    done = run(
        "import sys, time\nfor c in 'ERROR: LeakSanitizer':\n print(c, end='', flush=True); time.sleep(0.01)"
    )
    assert done.returncode == 1 and done.stdout == "ERROR: LeakSanitizer"


def test_the_exit_code_of_a_command_that_fails_is_kept() -> None:
    assert run("print('ERROR: LeakSanitizer'); raise SystemExit(5)").returncode == 5
