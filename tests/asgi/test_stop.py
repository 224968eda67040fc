"""Signals and stops: what is at work ends well, what has arrived is answered, what stalls does not hold the exit."""

from __future__ import annotations

import signal
import socket
import threading
import time

import pytest
from harness import Closed, Serve, Server, until

APP = "comings:app"
HOST = b"Host: a\r\n"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def at_work(server: Server, count: int) -> None:
    """Wait until so many exchanges are at work."""
    until(lambda: server.get("/now")[0] == count, f"{count} are at work")


def frozen(server: Server) -> None:
    """Stop the process; what arrives from now on waits in the kernel."""
    server.send_signal(signal.SIGSTOP)
    until(lambda: server.state() == "T", "the process is stopped")


def took(server: Server, began: float) -> float:
    """Wait for a good end and return the seconds since ``began``."""
    assert server.wait() == 0, server.log()
    return time.monotonic() - began


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_lets_exchanges_finish(own: Serve, library: str, number: int) -> None:
    server = own(APP, library)
    with server.connect() as idle, server.connect() as busy, server.connect() as streaming:
        assert idle.ask(target="/plain?n=0").get("connection") is None
        busy.request(target="/plain?n=1&ms=400")
        streaming.request(target="/stream?n=2&ms=100&count=4")
        streaming.until(b"2.0;")
        at_work(server, 2)
        server.send_signal(number)
        assert idle.closed(), "an idle connection is closed at once"
        answer = busy.answer()
        assert answer.body == b"1" and answer.get("connection") == "close" and busy.closed()
        assert streaming.until(b"2.3;") and streaming.until(b"0\r\n\r\n") and streaming.closed()
    assert server.wait() == 0
    assert "shutdown with 0 at work" in server.access()
    assert "ERROR" not in server.log()


def test_no_new_connection_after_the_signal(own: Serve, library: str) -> None:
    server = own(APP, library)
    with server.connect() as busy:
        busy.request(target="/plain?n=1&ms=400")
        at_work(server, 1)
        server.send_signal()
        until(lambda: "Shutting down" in server.log(), "the stop")

        def refused() -> bool:
            try:
                server.connect().close()
            except OSError:
                return True
            return False

        until(refused, "a refused connection")
        assert busy.answer().body == b"1"
    assert server.wait() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_requests_in_the_kernel_are_answered(own: Serve, library: str, number: int) -> None:
    """Connections that were not accepted, and requests on connections that were, before the signal is seen."""
    server = own(APP, library)
    known = [server.connect() for _ in range(10)]
    for client in known:
        assert client.ask(target="/plain?n=0").body == b"0"
    frozen(server)
    fresh = [server.connect() for _ in range(50)]
    for n, client in enumerate([*known, *fresh]):
        client.request(target=f"/plain?n={n}" + "&ms=5" * (n % 2))
    server.send_signal(number)
    server.send_signal(signal.SIGCONT)
    for n, client in enumerate([*known, *fresh]):
        with client:
            answer = client.answer()
            assert answer.body == b"%d" % n and answer.get("connection") == "close"
            assert client.closed()
    assert server.wait() == 0


def test_pipelined_requests_in_the_kernel(own: Serve, library: str) -> None:
    """The last answer of a connection says that it is closed, and none before it."""
    server = own(APP, library)
    with server.connect() as client:
        assert client.ask(target="/plain?n=0").body == b"0"
        frozen(server)
        client.send(b"".join(b"GET /plain?n=%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(3)))
        server.send_signal()
        server.send_signal(signal.SIGCONT)
        answers = [client.answer() for _ in range(3)]
        assert [answer.body for answer in answers] == [b"0", b"1", b"2"]
        assert [answer.get("connection") for answer in answers] == [None, None, "close"]
        assert client.closed()
    assert server.wait() == 0


def test_pipelined_requests_behind_one_at_work(own: Serve, library: str) -> None:
    """All that had arrived are answered; what a peer adds after the signal does not keep the server from ending."""
    server = own(APP, library)
    plain = [b"GET /plain?n=%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(3)]
    with server.connect() as client:
        client.send(b"GET /plain?n=9&ms=1000 HTTP/1.1\r\n" + HOST + b"\r\n" + b"".join(plain))
        at_work(server, 1)
        server.send_signal()
        until(lambda: "Shutting down" in server.log(), "the stop")
        client.send(plain[0] * 20)
        answers = [client.answer() for _ in range(4)]
        assert [answer.body for answer in answers] == [b"9", b"0", b"1", b"2"]
        assert [answer.get("connection") for answer in answers] == [None, None, None, "close"]
        assert client.closed()
    assert server.wait() == 0


def test_request_that_has_begun_may_end_after_the_signal(own: Serve, library: str) -> None:
    server = own(APP, library)
    with server.connect() as head, server.connect() as body:
        head.send(b"GET /plain?n=1 HTTP/1.1\r\n")
        body.send(b"POST /echo?n=2 HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nbo")
        at_work(server, 1)
        server.send_signal()
        until(lambda: "Shutting down" in server.log(), "the stop")
        head.send(HOST + b"\r\n")
        body.send(b"dy")
        for client, expected in ((head, b"1"), (body, b"2:body")):
            answer = client.answer()
            assert answer.body == expected and answer.get("connection") == "close" and client.closed()
    assert server.wait() == 0


DEADLINES = (
    "--timeout-first-request", "0.5", "--timeout-request-head", "0.5", "--timeout-request-body", "0.5",
    "--timeout-write", "0.5", "--timeout-linger", "0.5",
)  # fmt: skip


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /pla",
        b"GET /plain?n=1 HTTP/1.1\r\nA: b",
        b"POST /echo?n=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo",
        b"POST /echo?n=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
        b"POST /ignore?n=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo",
        b"GET /stream_for_ever HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["nothing", "line", "head", "body", "chunk", "unread-body", "stalled-reader"],
)
def test_what_stalls_delays_the_exit_no_longer_than_its_deadline(
    own: Serve, library: str, sent: bytes
) -> None:
    """Half a second for what is awaited, as much for the end of the connection, and some for the machine."""
    server = own(APP, library, *DEADLINES)
    with server.connect() as client:
        client.send(sent)
        assert server.ask(target="/plain?n=1").body == b"1"
        if b"stream" in sent:
            client.until(b"\r\n\r\n")
        began = time.monotonic()
        server.send_signal()
        assert took(server, began) < 2.5


@pytest.mark.parametrize("number", SIGNALS)
def test_second_signal_cancels_what_is_at_work(own: Serve, library: str, number: int) -> None:
    server = own(APP, library)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.request(target="/never")
    at_work(server, 3)
    server.send_signal(number)
    until(lambda: "Waiting for 3 request(s)" in server.log(), "the stop")
    began = time.monotonic()
    assert server.stop(number) == 128 + number
    assert time.monotonic() - began < 3
    assert server.access().count("cleaned up") == 3
    assert "shutdown with 0 at work" in server.access(), "the application is shut down in any case"
    assert "Traceback" not in server.log()
    for client in clients:
        client.close()


def test_grace_period_ends_what_is_at_work(own: Serve, library: str) -> None:
    server = own(APP, library, "--timeout-graceful-shutdown", "0.5")
    with server.connect() as client, server.connect() as other:
        client.request(target="/never")
        other.request(target="/plain?n=1&ms=150")
        at_work(server, 2)
        began = time.monotonic()
        server.send_signal()
        assert other.answer().body == b"1"
        assert 0.4 < took(server, began) < 4
    assert "cleaned up" in server.access() and "shutdown with 0 at work" in server.access()


def test_stop_of_an_idle_server_is_quick(own: Serve, library: str) -> None:
    server = own(APP, library)
    began = time.monotonic()
    server.send_signal()
    assert took(server, began) < 2


def test_signal_to_a_busy_server(own: Serve, library: str) -> None:
    """Clients that ask all the time: each request gets its whole answer, or its connection was not taken."""
    server = own(APP, library, "--no-access-log")
    dropped: list[str] = []
    answers = [0] * 4

    def ask(number: int) -> None:
        while True:
            try:
                client = server.connect()
            except OSError:
                return  # refused: the server has stopped listening
            with client:
                try:
                    client.request(target=f"/plain?n={number}" + "&ms=1" * (number % 2))
                    assert client.answer().body == b"%d" % number
                    answers[number] += 1
                except (Closed, OSError) as error:
                    dropped.append(repr(error))
                    return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: min(answers) > 50, "the load")
    server.send_signal()
    for thread in threads:
        thread.join(15)
    assert server.wait() == 0
    # The kernel may complete a handshake between the last accept and the end of the listener.
    assert len(dropped) <= 1, dropped


def test_half_closed_request_in_the_kernel_is_answered(own: Serve, library: str) -> None:
    server = own(APP, library)
    frozen(server)
    client = server.connect()
    client.request(target="/plain?n=1")
    client.socket.shutdown(socket.SHUT_WR)
    server.send_signal()
    server.send_signal(signal.SIGCONT)
    with client:
        assert client.answer().body == b"1" and client.closed()
    assert server.wait() == 0
