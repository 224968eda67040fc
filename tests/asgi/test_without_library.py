"""Serving without an async library: what awaits only receive() and send() runs on the reactor alone."""

from __future__ import annotations

import time
from contextlib import ExitStack

from harness import Serve, until

APP = "bare:app"
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"


def test_it_serves_and_stops(own: Serve) -> None:
    """Bodies, streams, pipelines, and a lifespan from start to end."""
    server = own(APP, "none")
    with server.connect() as client:
        assert client.ask("POST", "/", b"hello").body == b"hello"
        assert client.ask(target="/stream").body == b"".join(b"%04d" % number for number in range(1000))
        client.send((HEAD + b"abcdef") * 50)
        assert [client.answer().body for _ in range(50)] == [b"abcdef"] * 50
    assert "(none" in server.log()
    assert server.stop() == 0
    assert server.access().split().count("startup") == 1 and "shutdown" in server.access()


def test_many_requests_wait_at_once(own: Serve) -> None:
    """Each for its body, and all of them are served when it comes; nobody else waits for them."""
    server = own(APP, "none")
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(200)]
        for client in clients:
            client.send(HEAD + b"abc")
        assert server.ask("POST", "/", b"x").body == b"x"
        for client in clients:
            client.send(b"def")
        for client in clients:
            assert client.answer().body == b"abcdef"
    assert server.stop() == 0


def test_a_slow_reader_suspends_the_sender(own: Serve) -> None:
    """Four megabytes through a small window."""
    server = own(APP, "none")
    with server.connect() as client:
        client.request(target="/large")
        time.sleep(0.2)
        assert server.ask("POST", "/", b"x").body == b"x"
        assert len(client.answer().body) == 64 * 65536
    assert server.stop() == 0


def test_anything_else_awaited_fails_alone_and_says_why(own: Serve) -> None:
    """The log names the option that mends it."""
    server = own(APP, "none")
    for path in ("/foreign", "/asyncio"):
        assert server.ask("POST", path, b"x").status == 500
    assert server.ask("POST", "/", b"x").body == b"x"
    until(lambda: server.log().count("--async-library asyncio") == 2, "both are explained")
    assert "the application awaits 5" in server.log()
    assert server.stop() == 0


def test_idle_connections_and_disconnects(own: Serve) -> None:
    """A client that goes is told, and waiting takes no processor."""
    server = own(APP, "none")
    client = server.connect()
    client.request("POST", "/stay", b"x")
    assert client.answer().body == b"x"
    before = server.cpu()
    assert client.quiet(0.5)
    assert server.cpu() - before < 0.1
    client.close()
    until(lambda: server.stop() == 0, "the stop")


def test_a_stop_waits_for_what_is_at_work_and_a_deadline_ends_it(own: Serve) -> None:
    """Bodies that come in time are answered; what never ends is cancelled."""
    server = own(APP, "none", "--timeout-graceful-shutdown", "1")
    with server.connect() as client, server.connect() as other:
        client.send(HEAD + b"abc")
        other.send(HEAD + b"abc")
        until(lambda: server.descriptors() > 6, "both are there")
        time.sleep(0.1)
        server.send_signal()
        client.send(b"def")
        assert client.answer().body == b"abcdef"
        assert server.wait() == 0
    assert "Cancelling 1 request(s)" in server.log()


def test_a_request_is_cancelled_with_its_client(own: Serve) -> None:
    """Where it is suspended: without a library there is only receive() and send()."""
    server = own(APP, "none", "--cancel-on-disconnect")
    with server.connect() as client:
        client.request("POST", "/waiting", None, [("Content-Length", "6")])
        client.send(b"abc")
        until(lambda: "began" in server.access(), "the beginning")
    until(lambda: "Cancelled" in server.access(), "the cancellation")
    assert server.ask("POST", "/", b"x").body == b"x"
    assert server.stop() == 0 and "Traceback" not in server.log()


def test_504_when_the_time_is_over(own: Serve) -> None:
    server = own(APP, "none", "--request-timeout", "0.3")
    with server.connect() as client:
        client.request("POST", "/unanswered", None, [("Content-Length", "6")])
        client.send(b"abc")
        answer = client.answer()
        assert answer.status == 504 and answer.body == b"Gateway Timeout"
    assert server.ask("POST", "/", b"x").body == b"x"
    assert server.stop() == 0
    assert server.log().count("A request was cancelled: it took more than 0.3 s.") == 1
    assert "Traceback" not in server.log()


def test_an_answer_that_was_begun_ends_when_the_time_is_over(own: Serve) -> None:
    server = own(APP, "none", "--request-timeout", "0.3", "--timeout-write", "10")
    with server.connect() as client:
        client.request(target="/blocked")
        until(lambda: "Cancelled" in server.access(), "the cancellation")
    assert server.stop() == 0
    assert "A request was cancelled: it took more than 0.3 s." in server.log()


def test_the_application_is_told_of_the_shutdown(own: Serve) -> None:
    server = own(APP, "none")
    with server.connect() as client:
        client.request("POST", "/until-shutdown", b"x")
        assert server.ask("POST", "/", b"x").body == b"x"
        assert server.stop() == 0
        assert client.answer().body == b"x"
    assert "told" in server.access()
