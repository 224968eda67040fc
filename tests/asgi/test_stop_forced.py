"""No stop hangs: whatever the application does, the process ends when its time is over, and says why."""

from __future__ import annotations

import signal
import time

import pytest
from harness import Serve, Server, until

APP = "phases:app"
SHORT = ("--timeout-graceful-shutdown", "0.2", "--timeout-forced-shutdown", "0.5")
FORCED = 4


def ends_by_force(server: Server, began: float, most: float = 4) -> None:
    """Wait for the end, which is forced and in time."""
    server.allows_alarms = True
    assert server.wait() == FORCED, server.log()
    assert time.monotonic() - began < most
    assert "Ended by force" in server.log()


@pytest.mark.parametrize("page", ["stubborn", "block", "holding", "never?hold"])
def test_requests_that_do_not_end(own: Serve, library: str, page: str) -> None:
    """Cancellations swallowed, the loop blocked, the interpreter held: before the signal, or when cancelled."""
    server = own(APP, library, *SHORT)
    with server.connect() as client:
        client.request(target=f"/{page}")
        until(lambda: page.partition("?")[0] in server.access(), "it is at work")
        began = time.monotonic()
        server.send_signal()
        ends_by_force(server, began)
    if page == "stubborn":
        assert "of 1 request(s) that were cancelled, one or more did not end" in server.log()


@pytest.mark.parametrize("where", ["lifespan", "lifespan-holding"])
def test_shutdowns_that_do_not_end(own: Serve, library: str, where: str) -> None:
    """The log says that it was the application's shutdown."""
    server = own(APP, library, *SHORT, environment={"HANGS": where})
    began = time.monotonic()
    server.send_signal()
    ends_by_force(server, began)
    assert "the shutdown of the application (lifespan)" in server.log()
    assert "shutting down" in server.access()


def test_threads_that_do_not_end(own: Serve, library: str) -> None:
    """The interpreter would wait for them."""
    server = own(APP, library, *SHORT, environment={"HANGS": "thread"})
    began = time.monotonic()
    server.send_signal()
    ends_by_force(server, began)
    assert "threads of the application" in server.log()


def test_without_a_grace_period(own: Serve, library: str) -> None:
    """Requests may go on for any time; from the second signal on the time runs, though nobody acts on it."""
    server = own(APP, library, "--timeout-forced-shutdown", "0.5")
    with server.connect() as client:
        client.request(target="/holding")
        until(lambda: "holding" in server.access(), "it is at work")
        server.send_signal()
        time.sleep(1)
        assert server.process.poll() is None
        began = time.monotonic()
        server.send_signal(signal.SIGINT)
        ends_by_force(server, began)


def test_no_limit(own: Serve, library: str) -> None:
    """0 leaves it to the application."""
    server = own(APP, library, "--timeout-forced-shutdown", "0", environment={"HANGS": "lifespan"})
    server.send_signal()
    until(lambda: "shutting down" in server.access(), "the shutdown")
    time.sleep(0.7)
    assert server.process.poll() is None
    assert server.stop() == 128 + signal.SIGTERM


def test_a_good_end_is_not_forced(own: Serve, library: str) -> None:
    """The time starts when the grace period is over, or nothing is at work."""
    server = own(APP, library, "--timeout-forced-shutdown", "0.5")
    with server.connect() as client:
        client.request(target="/plain?ms=1200")
        time.sleep(0.2)
        server.send_signal()
        assert client.answer().body == b"plain"
    assert server.wait() == 0, server.log()
    assert "Ended by force" not in server.log()
