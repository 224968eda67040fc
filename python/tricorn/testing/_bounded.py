"""Running a check in a process of its own, so that one that hangs is a failure and nothing worse."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable


class CheckFailed(AssertionError):
    """A check of the kit failed; the message is the traceback, or says that it hung."""


def run_bounded(check: Callable[[], None], seconds: float) -> None:
    """Run ``check`` in a forked process that is given ``seconds``.

    Raises:
        CheckFailed: It raised, hung, or ended its process.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # a test runner may have threads: they are not used
        child = os.fork()
    if child == 0:
        os.close(reading)
        _run_and_exit(check, writing)
    os.close(writing)
    try:
        report = _read_until(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if report is None:
        raise CheckFailed(f"hung: it had not ended after {seconds} seconds")
    if report != b"passed":
        raise CheckFailed(report.decode("utf-8", "replace") or "the process of the check ended early")


def _run_and_exit(check: Callable[[], None], writing: int) -> None:
    """In the forked process: report how the check ends."""
    report = "passed"
    logging.disable(logging.CRITICAL)
    try:
        check()
    except BaseException:
        report = traceback.format_exc()
    try:
        os.write(writing, report.encode()[-60_000:])
    finally:
        os._exit(0)


def _read_until(fd: int, deadline: float) -> bytes | None:
    """Return all that comes until the other end closes, or ``None`` when it does not in time."""
    report = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            return None
        data = os.read(fd, 65536)
        if not data:
            return report
        report += data
