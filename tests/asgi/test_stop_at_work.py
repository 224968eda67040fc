"""Stops that find the application at work: blocked, hanging, stubborn, sending without an end."""

from __future__ import annotations

import signal
import time

import pytest
from harness import Serve, Server, until

APP = "stops:app"
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def said(server: Server, text: str) -> None:
    """Wait until the application has said something."""
    until(lambda: text in server.access(), f"the application says {text!r}")


def test_signal_while_nothing_else_can_run(own: Serve, library: str) -> None:
    """What comes while the application holds the thread, before and after the signal, is answered."""
    server = own(APP, library)
    clients = [server.connect() for _ in range(20)]
    for client in clients[:10]:
        assert client.ask(target="/plain?first").body == b"first"
    with server.connect() as blocking:
        blocking.request(target="/block?ms=400")
        said(server, "block begins")
        for number, client in enumerate(clients):
            client.request(target=f"/plain?n={number}")
            if number == 14:
                server.send_signal()
        answer = blocking.answer()
        assert answer.body == b"block"
        for number, client in enumerate(clients):
            with client:
                answer = client.answer()
                assert answer.body == b"n=%d" % number and answer.get("connection") == "close"
                assert client.closed()
        assert blocking.closed()
    assert server.wait() == 0
    shutdown = next(line for line in server.access().splitlines() if line.startswith("shutdown after"))
    assert shutdown.startswith("shutdown after 30:"), shutdown


def test_answer_that_begins_after_the_signal_says_close(own: Serve, library: str) -> None:
    server = own(APP, library)
    with server.connect() as client, server.connect() as echoing:
        client.send(b"GET /slow?ms=300 HTTP/1.1\r\nHost: a\r\n\r\n")
        echoing.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
        said(server, "slow begins")
        said(server, "echo begins")
        server.send_signal()
        until(lambda: "Waiting for 2 request(s)" in server.log(), "the stop")
        echoing.send(b"dy")
        answer = echoing.answer()
        assert answer.body == b"body" and answer.get("connection") == "close" and echoing.closed()
        answer = client.answer()
        assert answer.body == b"slow" and answer.get("connection") == "close" and client.closed()
    assert server.wait() == 0
    assert server.access().index("slow ends") < server.access().index("shutdown after")


@pytest.mark.parametrize("number", SIGNALS)
def test_second_signal_is_the_librarys_own_cancellation(own: Serve, library: str, number: int) -> None:
    server = own(APP, library)
    with server.connect() as client:
        client.request(target="/hang")
        said(server, "hang begins")
        server.send_signal(number)
        until(lambda: "Waiting for 1 request(s)" in server.log(), "the stop")
        began = time.monotonic()
        assert server.stop(number) == 128 + number
        assert time.monotonic() - began < 3
    assert "hang is cancelled: True" in server.access() and "shutdown after" in server.access()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("number", SIGNALS)
def test_third_signal_ends_what_is_stubborn(own: Serve, library: str, number: int) -> None:
    server = own(APP, library)
    with server.connect() as client:
        client.request(target="/stubborn")
        said(server, "stubborn begins")
        server.send_signal(number)
        until(lambda: "Waiting for 1 request(s)" in server.log(), "the stop")
        server.send_signal(number)
        said(server, "stubborn is cancelled")
        began = time.monotonic()
        assert server.stop(number) == 128 + number
        assert time.monotonic() - began < 2


def test_endless_answer_ends_with_its_reader(own: Serve, library: str) -> None:
    """An answer that is read goes on after the signal; when the reader leaves, the server ends."""
    server = own(APP, library)
    with server.connect() as client:
        client.request(target="/flood")
        client.until(b"\r\n\r\n")
        server.send_signal()
        until(lambda: "Waiting for 1 request(s)" in server.log(), "the stop")
        for _ in range(50):
            client.exactly(50_000)
    assert server.wait() == 0
    assert "flood ends" in server.access() and "ERROR" not in server.log()


def test_endless_answer_ends_with_its_stalled_reader(own: Serve, library: str) -> None:
    server = own(APP, library, "--timeout-write", "0.5")
    with server.connect() as client:
        client.request(target="/flood")
        client.until(b"\r\n\r\n")
        began = time.monotonic()
        server.send_signal()
        assert server.wait() == 0
        assert time.monotonic() - began < 4
    assert "flood ends" in server.access() and "ERROR" not in server.log()


def test_second_signal_ends_an_endless_answer(own: Serve, library: str) -> None:
    server = own(APP, library)
    with server.connect() as client:
        client.request(target="/flood")
        client.until(b"\r\n\r\n")
        server.send_signal(signal.SIGINT)
        until(lambda: "Waiting for 1 request(s)" in server.log(), "the stop")
        assert server.stop(signal.SIGTERM) == 128 + signal.SIGTERM
        assert not client.rest().endswith(b"0\r\n\r\n"), "the last chunk would tell of success"


@pytest.mark.parametrize("options", [(), ("--drain-delay", "60")], ids=["", "drain"])
def test_quit_cancels_at_once(own: Serve, library: str, options: tuple[str, ...]) -> None:
    """It is the first and the second signal in one, and waits for no delay; the application's shutdown still runs."""
    server = own(APP, library, *options)
    with server.connect() as client:
        client.request(target="/slow?ms=60000")
        said(server, "slow begins")
        assert server.stop(signal.SIGQUIT) == 128 + signal.SIGQUIT
    assert "Cancelling 1 request(s): a second signal came" in server.log()
    assert "shutdown after" in server.access()


def test_a_hang_up_is_passed_over_under_nohup(own: Serve, library: str) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the server inherits
    try:
        server = own(APP, library)
    finally:
        signal.signal(signal.SIGHUP, previous)
    server.send_signal(signal.SIGHUP)
    assert server.ask(target="/plain?n=1").body == b"n=1"
    assert server.stop() == 0
