"""The phases of a stop, one after another: draining, telling the applications, ending; and the limit of requests."""

from __future__ import annotations

import time

import pytest
from harness import Closed, Serve, until

APP = "phases:app"


def test_draining_serves_on(own: Serve, library: str) -> None:
    """New connections are accepted and old ones kept; then they are closed, and the server ends."""
    server = own(APP, library, "--drain-delay", "1", "--ready-path", "/ready")
    with server.connect() as kept, server.connect() as busy:
        assert kept.ask(target="/plain").body == b"plain"
        assert kept.ask(target="/ready").status == 200
        began = time.monotonic()
        server.send_signal()
        until(lambda: "Draining for 1 s" in server.log(), "the drain")
        assert kept.ask(target="/plain").get("connection") is None
        assert kept.ask(target="/ready").status == 503
        with server.connect() as fresh:
            assert fresh.ask(target="/plain").get("connection") is None
        busy.request(target="/plain?ms=1500")
        assert kept.closed()
        assert 0.9 < time.monotonic() - began < 3
        answer = busy.answer()
        assert (answer.body, answer.get("connection")) == (b"plain", "close")
    assert server.wait() == 0
    log = server.log()
    lines = [
        "Draining for",
        "Shutting down",
        "Waiting for application shutdown",
        "application shutdown complete",
    ]
    places = [log.lower().index(line.lower()) for line in lines]
    assert places == sorted(places)
    assert "Waiting for 1 request(s)" in log and "ERROR" not in log


def test_a_second_signal_ends_the_drain(own: Serve, library: str) -> None:
    """And nothing else: it counts as none; the next one is the second."""
    server = own(APP, library, "--drain-delay", "600")
    with server.connect() as busy:
        busy.request(target="/never")
        until(lambda: "never" in server.access(), "it is at work")
        server.send_signal()
        until(lambda: "Draining" in server.log(), "the drain")
        server.send_signal()
        until(lambda: "Waiting for 1 request(s)" in server.log(), "the stop")
        time.sleep(0.1)
        assert "Cancelling" not in server.log()
        assert server.stop() == 128 + 15
    assert "Cancelling 1 request(s): a second signal came" in server.log()


def test_streams_are_told(own: Serve, library: str) -> None:
    """Whoever has read the body, and waits for the client to leave or asks later, is told that it has."""
    server = own(APP, library, "--shutdown-signal-streams")
    with server.connect() as events, server.connect() as poll, server.connect() as silent:
        events.request(target="/events")
        poll.request(target="/poll?answer")
        silent.request(target="/poll")
        events.until(b"data: 1\n\n")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert poll.answer().body == b"bye" and poll.closed()
        answer = silent.answer()
        assert (answer.status, answer.get("connection")) == (503, "close")
        assert events.until(b"0\r\n\r\n") and events.closed()
    assert "told" in server.access() and server.access().count("left http.disconnect") == 2
    assert "ERROR" not in server.log(), server.log()


def test_a_body_under_way_is_not_cut_off(own: Serve, library: str) -> None:
    """Streams are told once their body was read, and not before."""
    server = own(APP, library, "--shutdown-signal-streams")
    with server.connect() as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        until(lambda: "uploading" in server.access(), "it is at work")
        server.send_signal()
        until(lambda: "Waiting for 1 request(s)" in server.log(), "the stop")
        client.send(b"def")
        assert client.answer().body == b"abcdef"
    assert server.wait() == 0


def test_streams_are_not_told_unless_asked_for(own: Serve, library: str) -> None:
    """The grace period ends them."""
    server = own(APP, library, "--timeout-graceful-shutdown", "0.3")
    with server.connect() as events:
        events.request(target="/events")
        events.until(b"data: 1\n\n")
        assert server.stop() == 0
        with pytest.raises(Closed):
            events.until(b"0\r\n\r\n")
    assert "told" not in server.access() and "Cancelling 1 request(s)" in server.log()


def test_limit_of_requests(own: Serve, library: str) -> None:
    """All that were taken are answered; the process ends with 0."""
    server = own(APP, library, "--limit-max-requests", "5")
    with server.connect() as kept, server.connect() as busy:
        busy.request(target="/plain?ms=300")
        for _ in range(3):
            assert kept.ask(target="/plain").get("connection") is None
        assert server.process.poll() is None
        assert kept.ask(target="/plain").body == b"plain"
        assert busy.answer().body == b"plain"
    assert server.wait() == 0
    assert "The limit of requests is reached" in server.log() and "shutting down" in server.access()


def test_jitter_is_added(own: Serve, library: str) -> None:
    """A server that may take 1 to 3 takes one at least, and never a fourth."""
    server = own(APP, library, "--limit-max-requests", "1", "--limit-max-requests-jitter", "2")
    answered = 0
    while server.process.poll() is None and answered < 4:
        try:
            with server.connect() as client:
                answered += client.ask(target="/plain").body == b"plain"
        except (OSError, Closed):
            break
    assert 1 <= answered <= 3 + 1  # one more may have been queued when the limit was reached
    assert server.wait() == 0
