"""What the prototype behind this server had tests for, and what it lacked or got wrong.

The prototype ran an application under asyncio, trio and curio with requests read by h11 or httptools. Its tests stand
here by their names, on every library and with both parsers; behind them one test for each of its faults.
"""

from __future__ import annotations

import socket
import time
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from command import Run
from harness import APPS, LIBRARIES, Serve, Server, parser, until

pytestmark = pytest.mark.skipif(parser != "tricorn", reason="these tests name their parsers themselves")

APP = "origin:app"
HOST = b"Host: a\r\n"


@pytest.fixture(params=["h11", "httptools"])
def http(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The option that chooses the parser."""
    return ("--http", str(request.param))


Http = tuple[str, str]


# --- default headers


def test_default_headers(shared: Serve, library: str, http: Http) -> None:
    answer = shared(APP, library, *http).ask()
    assert answer.get("server") == "tricorn" and answer.get("date")


def test_override_server_header(shared: Serve, library: str, http: Http) -> None:
    answer = shared(APP, library, *http, "--header", "Server:over-ridden").ask()
    assert answer.get("server") == "over-ridden" and answer.get("date")


def test_override_server_header_multiple_times(shared: Serve, library: str, http: Http) -> None:
    twice = ("--header", "Server:over-ridden", "--header", "Server:another-value")
    with shared(APP, library, *http, *twice).connect() as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert b"\r\nServer: over-ridden\r\nServer: another-value\r\n" in client.rest()


def test_add_additional_header(shared: Serve, library: str, http: Http) -> None:
    answer = shared(APP, library, *http, "--header", "X-Additional:new-value").ask()
    assert answer.get("x-additional") == "new-value" and answer.get("server") == "tricorn"


# --- HTTP


def test_get_request(shared: Serve, library: str, http: Http) -> None:
    answer = shared(APP, library, *http).ask()
    assert answer.status == 200 and answer.body == b"Hello, world!"


def test_head_request(shared: Serve, library: str, http: Http) -> None:
    with shared(APP, library, *http).connect() as client:
        assert client.ask("HEAD").get("content-length") == "13"
        assert client.ask().body == b"Hello, world!"


def test_post_request(shared: Serve, library: str, http: Http) -> None:
    assert shared(APP, library, *http).ask("POST", "/echo", b'{"hello": 1}').body == b'Body: {"hello": 1}'


@pytest.mark.parametrize("path", ["/", "/?foo", "/?foo=bar", "/?foo=bar&baz=1"])
def test_request_logging(shared: Serve, library: str, http: Http, path: str) -> None:
    server = shared(APP, library, *http)
    assert server.ask(target=path).status == 200
    until(lambda: f'"GET {path} HTTP/1.1" 200 OK' in server.access(), "the line")


def test_keepalive(shared: Serve, library: str, http: Http) -> None:
    with shared(APP, library, *http).connect() as client:
        assert client.ask(target="/empty").status == 204
        assert client.quiet()
        client.socket.shutdown(socket.SHUT_WR)
        assert client.closed()


def test_keepalive_timeout(shared: Serve, library: str, http: Http) -> None:
    with shared(APP, library, *http, "--timeout-keep-alive", "0.1").connect() as client:
        assert client.ask(target="/empty").status == 204
        began = time.monotonic()
        assert client.closed() and 0.05 < time.monotonic() - began < 5


def test_close(shared: Serve, library: str, http: Http) -> None:
    with shared(APP, library, *http).connect() as client:
        assert client.ask(target="/close").get("connection") == "close" and client.closed()


# --- lifespan


def lives(own: Serve, library: str, mode: str, behaviour: str = "", app: str = APP) -> Server:
    """Start a server whose application behaves so in its lifespan, and stop it if it runs."""
    server = own(app, library, "--lifespan", mode, environment={"ORIGIN_LIFESPAN": behaviour}, ready=False)
    until(lambda: "Tricorn running on" in server.log() or server.process.poll() is not None, "the start")
    if server.process.poll() is None:
        assert server.ask().status == 200
        assert server.stop() == 0
    return server


@pytest.mark.parametrize("mode", ["on", "auto"])
def test_lifespan_on_and_auto(own: Serve, library: str, mode: str) -> None:
    lines = lives(own, library, mode).access()
    assert lines.index("startup\n") < lines.index('"GET / HTTP/1.1"') < lines.index("shutdown\n")


def test_lifespan_off(own: Serve, library: str) -> None:
    assert "startup" not in lives(own, library, "off").access()


def test_lifespan_auto_with_error(own: Serve, library: str) -> None:
    server = lives(own, library, "auto", "unsupported")
    assert "does not support lifespan" in server.log() and '"GET / HTTP/1.1"' in server.access()


def test_lifespan_on_with_error(own: Serve, library: str) -> None:
    server = lives(own, library, "on", "unsupported")
    assert server.wait() == 3 and "no lifespan here" in server.log()


@pytest.mark.parametrize("mode", ["on", "auto"])
@pytest.mark.parametrize("behaviour", ["failed", "failed-raises"])
def test_lifespan_with_failed_startup(own: Serve, library: str, mode: str, behaviour: str) -> None:
    server = lives(own, library, mode, behaviour)
    assert server.wait() == 3 and "the startup failed" in server.log()
    assert "Application startup failed. Exiting." in server.log()


@pytest.mark.parametrize(("app", "version"), [(APP, "3.0"), ("origin:Asgi2", "2.0")])
def test_lifespan_scope(own: Serve, library: str, app: str, version: str) -> None:
    assert f"('spec_version', '2.0'), ('version', '{version}')" in lives(own, library, "on", app=app).access()


# --- running


@pytest.mark.in_turn
@pytest.mark.parametrize("host", [None, "localhost", "::1"])
def test_run(run: Run, library: str, http: Http, host: str | None) -> None:
    where = [] if host is None else ["--host", host]
    command = run(APP, "--app-dir", str(APPS), "--async-library", library, *http, *where, "--port", "0")
    with command.connect() as client:
        assert client.ask().body == b"Hello, world!"
    assert command.stop() == 0


@pytest.mark.in_turn
def test_run_on_a_unix_socket(run: Run, library: str, http: Http, tmp_path: Path) -> None:
    """trio's half of the prototype called a function that trio never had."""
    path = str(tmp_path / "socket")
    command = run(APP, "--app-dir", str(APPS), "--async-library", library, *http, "--uds", path)
    with command.connect() as client:
        assert client.ask().body == b"Hello, world!"
    assert command.stop() == 0


# --- what it lacked or got wrong


def test_upgrade_to_what_is_not_known_is_not_taken_up(shared: Serve, library: str, http: Http) -> None:
    fields = [("Connection", "Upgrade"), ("Upgrade", "h2c, example/2")]
    with shared(APP, library, *http).connect() as client:
        assert client.ask(fields=fields).status == 200
        assert client.ask().status == 200


def test_http_1_0(shared: Serve, library: str, http: Http) -> None:
    with shared(APP, library, *http).connect() as client:
        client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        answer = client.answer()
        assert answer.framing == "close" and answer.body.count(b"piece") == 5


def test_pipeline_beyond_every_buffer(shared: Serve, library: str, http: Http) -> None:
    """Each parser's own, that of the connection, and the kernel's."""
    count = 5000
    with shared(APP, library, *http).connect() as client:
        data = (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 64\r\n\r\n" + b"a" * 64) * count
        sent = 0
        for _ in range(count):
            while sent < len(data):
                try:
                    sent += client.socket.send(data[sent : sent + 65536], socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
            assert client.answer().body == b"Body: " + b"a" * 64


def test_disconnect_is_told_once_and_for_all(shared: Serve, library: str, http: Http) -> None:
    """After the body ``receive()`` waits; it does not give empty bodies for ever."""
    server = shared(APP, library, *http)
    with server.connect() as client:
        client.request("POST", "/listens", b"abc")
        assert client.quiet()
        before = server.cpu()
        time.sleep(0.2)
        assert server.cpu() - before < 0.1
    until(lambda: "disconnect after 1" in server.get("/noted"), "the disconnect")


def test_send_after_the_client_has_gone_raises(shared: Serve, library: str, http: Http) -> None:
    server = shared(APP, library, *http)
    with server.connect() as client:
        client.request(target="/after-the-end")
        client.quiet()
        client.reset()
    until(lambda: "send: ClientDisconnected" in server.get("/noted"), "the error")


def test_cancelled_on_disconnect(shared: Serve, library: str, http: Http) -> None:
    server = shared(APP, library, *http, "--cancel-on-disconnect")
    with server.connect() as client:
        client.request(target="/stays")
        client.quiet()
    until(lambda: "cancelled" in server.get("/noted"), "the cancellation")


def test_cancelled_when_the_grace_is_over(own: Serve, library: str, http: Http) -> None:
    server = own(APP, library, *http, "--timeout-graceful-shutdown", "0.2")
    with server.connect() as client:
        client.request(target="/stays")
        client.quiet()
        began = time.monotonic()
        server.send_signal()
        assert client.closed()
    assert server.wait() == 0 and time.monotonic() - began < 5 and "cancelled" in server.access()


def test_limits_hold(shared: Serve, library: str, http: Http) -> None:
    limits = ("--limit-request-head", "500", "--limit-request-body", "100", "--limit-concurrency", "1")
    server = shared(APP, library, *http, *limits, "--cancel-on-disconnect")
    assert server.ask(fields=[("A", "b" * 600)]).status == 431
    assert server.ask("POST", "/echo", b"a" * 101).status == 413
    with server.connect() as client:
        client.request(target="/stays")
        until(lambda: server.ask().status == 503, "the limit")


def test_lifespan_state(own: Serve, library: str, http: Http) -> None:
    server = own(APP, library, *http)
    assert server.get("/state") == {"started": True}
    assert server.stop() == 0


def test_streamed_bodies_are_whole(shared: Serve, library: str, http: Http) -> None:
    """The terminating chunk comes last, once."""
    with shared(APP, library, *http).connect() as client:
        for _ in range(2):
            answer = client.ask(target="/stream")
            assert answer.framing == "chunked"
            assert answer.chunks == [b"piece %d;" % number for number in range(5)]


def test_field_names_of_every_character(shared: Serve, library: str, http: Http) -> None:
    answer = shared(APP, library, *http).ask(fields=[("!#$%&'*+-.^_`|~09azAZ", "x")])
    assert answer.status == 200


def test_expect_that_is_doubled(shared: Serve, library: str, http: Http) -> None:
    with shared(APP, library, *http).connect() as client:
        expect = [("Expect", "100-continue"), ("Expect", "100-continue"), ("Content-Length", "3")]
        client.request("POST", "/echo", None, expect)
        assert client.answer().status == 100
        client.send(b"abc")
        assert client.answer().body == b"Body: abc"


def test_one_date_that_goes_on(shared: Serve, library: str, http: Http) -> None:
    dates: list[datetime] = []
    with shared(APP, library, *http).connect() as client:
        for _ in range(2):
            date = client.ask().get("date")
            assert date is not None
            dates.append(parsedate_to_datetime(date))
            time.sleep(1.1)
    assert dates[0] < dates[1]


def test_end_of_the_connection_is_told(shared: Serve, library: str, http: Http) -> None:
    """An answer without framing ends with the connection on every library."""
    with shared(APP, library, *http).connect() as client:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert client.answer().body == b"Hello, world!" and client.closed()


def test_nobody_is_accepted_while_it_drains(own: Serve, library: str, http: Http) -> None:
    server = own(APP, library, *http, "--timeout-graceful-shutdown", "5")
    with server.connect() as client:
        client.request(target="/stays")
        client.quiet()
        server.send_signal()
        until(lambda: "Waiting for 1 request(s)" in server.log(), "the drain")
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        client.close()
        server.send_signal()
    server.wait()


def test_idle_connections_have_no_tasks(own: Serve, library: str, http: Http) -> None:
    server = own(APP, library, *http)
    before = server.get("/tasks")
    clients = [server.connect() for _ in range(20)]
    for client in clients:
        assert client.ask().status == 200
    assert server.get("/tasks") <= before + 1
    for client in clients:
        client.close()
    assert server.stop() == 0


def test_exception_group_is_logged_and_answered(shared: Serve, library: str, http: Http) -> None:
    server = shared(APP, library, *http)
    assert server.ask(target="/group-fails").status == 500
    assert "ValueError: in a task" in server.log()
    assert server.ask().status == 200


@pytest.mark.parametrize(("path", "status"), [("/none", 500), ("/order", 500), ("/partial", 200)])
def test_wrong_missing_and_partial_answers(
    shared: Serve, library: str, http: Http, path: str, status: int
) -> None:
    server = shared(APP, library, *http)
    with server.connect() as client:
        client.request(target=path)
        answer = client.answer()
        assert answer.status == status and answer.complete == (status == 500)
    assert server.ask().status == 200


def test_every_library_is_among_them() -> None:
    assert LIBRARIES == ("asyncio", "uvloop", "trio", "curio")
