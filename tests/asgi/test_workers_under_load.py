"""Workers that are replaced, killed and stopped at any moment under load: what is promised to clients is kept.

``TRICORN_TEST_ROUNDS`` multiplies how often; 25 is 50 replacements, 25 kills and 50 stops on each library.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from command import Command, Run
from crews import Load, Wrk, children, gone, kill, ready
from harness import APPS, until

ROUNDS = int(os.environ.get("TRICORN_TEST_ROUNDS", "1"))
CONNECTIONS = 64
LIMIT = 120 * ROUNDS
"""Seconds that each test may take."""
BACK = 45.0
"""Seconds until a worker has come back that was killed: the delay is up to 30 when it has happened often."""

pytestmark = pytest.mark.timeout(LIMIT)


def serve(run: Run, library: str, *more: str) -> Command:
    """Start two workers, on a port of their own and where more is said."""
    usual = ("crew:app", "--app-dir", str(APPS), "--async-library", library, "--workers", "2")
    return run(*usual, "--bind", "127.0.0.1:0", "--no-access-log", "--timeout-graceful-shutdown", "10", *more)


def test_no_request_fails_while_workers_are_replaced(run: Run, library: str) -> None:
    """SIGHUP again and again under wrk at 64 connections: no error of any kind."""
    server = serve(run, library)
    ready(server, 2)
    load = Wrk(server.urls()[0], CONNECTIONS, LIMIT)
    for round_ in range(2 * ROUNDS):
        server.send_signal(signal.SIGHUP)
        ready(server, 4 + 2 * round_)
        until(lambda: len(children(server.process.pid)) == 2, "the end of the old workers")
    assert load.end() > 1000
    assert server.stop() == 0


def test_only_the_requests_of_a_killed_worker_fail(run: Run, library: str) -> None:
    """Those of the others are answered, and every connection can be made."""
    server = serve(run, library)
    ready(server, 2)
    load = Load(server.urls()[0], CONNECTIONS)
    killed: set[int] = set()
    with load.running():
        for round_ in range(ROUNDS):
            load.more(300)
            victim = random.choice(children(server.process.pid))
            killed.add(victim)
            kill(victim, signal.SIGKILL)
            ready(server, 3 + round_, BACK)
        load.more(300)
    assert load.halves == [] or set(load.served_by) <= killed
    for failure, pid in zip(load.failures, load.served_by, strict=True):
        assert pid in killed or pid is None, failure
        assert not failure.startswith("connect"), failure
    # It had about half of the connections, of which some have had no answer yet that says who serves them.
    assert load.served_by.count(None) <= len(killed) * CONNECTIONS // 2, load.failures
    assert server.stop() == 0


def test_a_stop_at_any_moment_leaves_whole_answers_and_nothing_else(
    run: Run, library: str, tmp_path: Path
) -> None:
    """SIGTERM at a random moment: every answer that began is complete, the exit is in time, nothing is left."""
    for round_ in range(2 * ROUNDS):
        path = tmp_path / f"socket{round_}"
        server = serve(run, library, "--bind", f"unix:{path}")
        workers = ready(server, 2, BACK)
        loads = [Load(url, 4) for url in server.urls()]
        assert len(loads) == 2
        with loads[0].running(), loads[1].running():
            time.sleep(random.uniform(0, 0.2))
            begun = time.monotonic()
            code = server.stop()
            took = time.monotonic() - begun
        assert code == 0, server.log()
        assert took < 5
        assert [load.halves for load in loads] == [[], []]
        assert gone(workers)
        assert not path.exists()


def test_a_stop_during_the_start_leaves_nothing(run: Run, library: str, tmp_path: Path) -> None:
    """SIGTERM while workers are being started, imported or replaced."""
    for round_ in range(ROUNDS):
        path = tmp_path / f"socket{round_}"
        server = serve(run, library, "--bind", f"unix:{path}")
        until(path.exists, "the socket")
        time.sleep(random.uniform(0, 0.8))
        left = children(server.process.pid)
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0, server.log()
        assert gone(left)
        assert not path.exists()
