"""The paths by which load balancers see how a server is."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from harness import Serve, until

APP = "proxied:app"
NONE_TOO = True
PATHS = ("--health-path", "/healthz", "--ready-path", "/readyz")


@pytest.mark.parametrize("parser", ["auto", "h11", "httptools"])
def test_answers(shared: Serve, library: str, parser: str) -> None:
    """On one connection with the application's own, whatever reads the requests."""
    server = shared(APP, library, *PATHS, "--http", parser, "--limit-concurrency", "1")
    with server.connect() as client:
        for path in ("/healthz", "/readyz?verbose"):
            answer = client.ask("GET", path)
            assert (answer.status, answer.body) == (200, b"ok\n")
            assert answer.get("content-type") == "text/plain; charset=utf-8"
            assert answer.get("server") == "tricorn" and answer.get("date")
            answer = client.ask("HEAD", path)
            assert (answer.status, answer.get("content-length")) == (200, "3")
            answer = client.ask("POST", path, b"body")
            assert (answer.status, answer.get("allow")) == (405, "GET, HEAD")
        assert client.ask("GET", "/healthz/").json()["path"] == "/healthz/"
        client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        assert [client.answer().body for _ in range(3)] == [b"ok\n"] * 3
    assert "readyz" not in server.access()
    assert "/healthz " not in server.access()


def test_the_application_has_these_paths_otherwise(shared: Serve, library: str) -> None:
    assert shared(APP, library).get("/healthz")["path"] == "/healthz"


def test_ready_while_stopping(own: Serve, library: str) -> None:
    """A connection that is open sees it, and that its worker lives."""
    server = own(APP, library, *PATHS)
    with server.connect() as busy, server.connect() as client:
        assert client.ask("GET", "/readyz").status == 200
        busy.request("GET", "/block/0.5")
        time.sleep(0.1)
        client.request("GET", "/readyz")
        server.send_signal()
        answer = client.answer()
        assert (answer.status, answer.body) == (503, b"stopping\n")
        assert answer.get("connection") == "close"
        assert busy.answer().status == 200
    assert server.wait() == 0


def test_ready_with_lag(own: Serve, library: str) -> None:
    """A loop that is kept from turning is found late afterwards, for a while."""
    server = own(APP, library, *PATHS, "--ready-max-lag", "0.4")
    assert server.ask("GET", "/readyz").status == 200
    blocker = threading.Thread(target=server.get, args=("/block/0.5",))
    blocker.start()
    blocker.join()
    assert server.ask("GET", "/readyz").body == b"overloaded\n"
    assert server.ask("GET", "/healthz").status == 200
    until(lambda: server.ask("GET", "/readyz").status == 200, "the end of the lag")
    assert server.stop() == 0


def test_usage(run: Any) -> None:
    """What cannot be meant is said in one line."""
    wrong = {
        ("--ready-max-lag", "1"): "--ready-path",
        ("--health-path", "healthz"): "a path such as /healthz",
        ("--health-path", "/a", "--ready-path", "/a"): "are the same",
        ("--forwarded-allow-ips", "10.0.0.1/8"): "did you mean 10.0.0.0/8?",
        ("--forwarded-fields", "x-real-ip"): "x-forwarded-for",
        ("--forwarded-hops", "0"): "from 1 to 64",
    }
    for options, problem in wrong.items():
        command = run(APP, *options)
        assert command.wait() == 2
        assert problem in command.log()
        assert command.log().count("\n") == 1
