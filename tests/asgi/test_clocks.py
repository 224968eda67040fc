"""Clocks that jump: the wall clock is set, the steady one leaps as on a machine that was suspended, or nothing ran."""

from __future__ import annotations

import re
import signal
import socket
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import answer_lint
import faulty
import pytest
import secure
from command import Run
from crews import alive, ready
from harness import APPS, TIMEOUT, Client, Serve, Server, until

APP = "stops:app"
DAY = 86_400
HOUR = 3_600
JUMPS = (400 * DAY, -400 * DAY, HOUR, -HOUR, 0)
"""Seconds by which the wall clock is set in turn, from where the machine has it."""

pytestmark = pytest.mark.skipif(faulty.library() is None, reason="there is no compiler")


@pytest.fixture(autouse=True)
def other_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have dates that are not this machine's pass for good ones."""
    monkeypatch.setattr(answer_lint, "check", lambda *_: None)


def date_of(client: Client) -> float:
    """Ask for a page and return when the server says that it was."""
    answer = client.ask(target="/plain?n=1")
    assert answer.body == b"n=1"
    date = answer.get("date")
    assert date is not None
    return parsedate_to_datetime(date).timestamp()


def test_the_date_follows_the_wall_clock(own: Serve, library: str, tmp_path: Path) -> None:
    """Also on a connection that was open before, and in the access log; no duration is measured by it."""
    faults = faulty.Faults(tmp_path)
    server = own(APP, library, "--access-log-format", "at %(t)s took %(D)s", environment=faults.environment)
    with server.connect() as kept:
        for jump in JUMPS:
            faults.clocks(wall=jump)
            with server.connect() as fresh:
                for client in (kept, fresh):
                    assert abs(date_of(client) - time.time() - jump) < TIMEOUT
    assert server.stop() == 0
    lines = re.findall(r"at \[(.+)\] took (\d+)", server.access())
    assert len(lines) == 2 * len(JUMPS), server.access()
    for (moment, took), jump in zip(lines, [jump for jump in JUMPS for _ in range(2)], strict=True):
        logged = datetime.strptime(moment, "%d/%b/%Y:%H:%M:%S %z").timestamp()
        assert abs(logged - time.time() - jump) < 2 * TIMEOUT
        assert int(took) < TIMEOUT * 1_000_000


def test_requests_at_work_do_not_mind_the_wall_clock(own: Serve, library: str, tmp_path: Path) -> None:
    """Neither an application that sleeps nor half a request is given up, and a stop takes no longer."""
    faults = faulty.Faults(tmp_path)
    server = own(APP, library, environment=faults.environment)
    with server.connect() as working, server.connect() as half, server.connect() as idle:
        idle.ask(target="/plain?n=1")
        half.send(b"GET /plain?n=2 HTTP/1.1\r\nHo")
        working.request(target="/slow?ms=300")
        until(lambda: "slow begins" in server.access(), "the request")
        faults.clocks(wall=400 * DAY)
        assert idle.ask(target="/plain?n=3").status == 200
        faults.clocks(wall=-400 * DAY)
        assert working.answer().body == b"slow"
        half.send(b"st: a\r\n\r\n")
        assert half.answer().body == b"n=2"
        assert idle.ask(target="/plain?n=4").status == 200
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 5


def test_a_leap_of_the_steady_clock_loses_no_request(own: Serve, library: str, tmp_path: Path) -> None:
    """Idle connections are at an end; who is at work, and what has arrived, is served."""
    faults = faulty.Faults(tmp_path)
    server = own(APP, library, environment=faults.environment)
    with server.connect() as working, server.connect() as idle, server.connect() as arrived:
        for client in (idle, arrived):
            assert client.ask(target="/plain?n=1").status == 200
        working.request(target="/slow?ms=500")
        until(lambda: "slow begins" in server.access(), "the request")
        server.process.send_signal(signal.SIGSTOP)
        arrived.request(target="/plain?n=2")
        faults.clocks(steady=HOUR)
        server.process.send_signal(signal.SIGCONT)
        assert arrived.answer().body == b"n=2"
        assert working.answer().body == b"slow"
        with server.connect() as fresh:
            assert fresh.ask(target="/plain?n=3").body == b"n=3"
            assert idle.closed()
            assert fresh.ask(target="/plain?n=4").body == b"n=4"
    assert server.stop() == 0


def test_what_has_arrived_while_nothing_ran_is_served(own: Serve, library: str, tmp_path: Path) -> None:
    """A process that is stopped for longer than connections may be idle, or heads may take, goes on where it was."""
    server = own(APP, library, "--timeout-keep-alive", "1", "--timeout-request-head", "1")
    with server.connect() as idle, server.connect() as half, server.connect() as waiting:
        assert idle.ask(target="/plain?n=1").status == 200
        half.send(b"GET /plain?n=2 HTTP/1.1\r\nHo")
        waiting.request(target="/slow?ms=10")
        until(lambda: "slow begins" in server.access(), "the request")
        server.process.send_signal(signal.SIGSTOP)
        idle.request(target="/plain?n=3")
        half.send(b"st: a\r\n\r\n")
        with server.connect() as fresh:  # which the kernel accepts meanwhile
            fresh.request(target="/plain?n=4")
            time.sleep(1.5)
            server.process.send_signal(signal.SIGCONT)
            assert fresh.answer().body == b"n=4"
        assert idle.answer().body == b"n=3"
        assert half.answer().body == b"n=2"
        assert waiting.answer().body == b"slow"
    assert server.stop() == 0


def test_tickets_of_tls_outlive_a_clock_that_is_set(own: Serve, library: str, tmp_path: Path) -> None:
    """A client that comes back is served, whether its ticket still holds or not."""
    faults = faulty.Faults(tmp_path)
    server: Server = own(APP, library, *secure.options(), environment=faults.environment)
    for jump in (0, 2 * HOUR, 0, -2 * HOUR, 400 * DAY, 0):
        faults.clocks(wall=jump)
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
            with Client(secure.SecureSocket(plain)) as client:  # type: ignore[arg-type]
                assert client.ask(target="/plain?n=1").body == b"n=1"
    assert server.stop() == 0


def test_workers_are_not_taken_for_stuck_ones(run: Run, library: str, tmp_path: Path) -> None:
    """After a leap every sign of life is an hour old."""
    faults = faulty.Faults(tmp_path)
    options = (
        "--workers",
        "2",
        "--timeout-worker-healthcheck",
        "20",
        "--no-access-log",
        "--bind",
        "127.0.0.1:0",
    )
    app = ("crew:app", "--app-dir", str(APPS), "--async-library", library)
    server = run(*app, *options, environment=faults.environment)
    workers = ready(server, 2, 60)
    for steady, wall in ((HOUR, 0), (2 * HOUR, 400 * DAY), (2 * HOUR, -400 * DAY)):
        faults.clocks(steady=steady, wall=wall)
        until(lambda: server.ask().json()["pid"] in workers, "an answer")
        time.sleep(1.2)
    assert "stood still" not in server.log(), server.log()
    assert all(alive(pid) for pid in workers)
    assert server.stop() == 0
