"""WSGI applications on every library: what they are told, what they may do, and what their threads cost others."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from typing import Any

import pytest
from harness import Serve, Server, until

APP = "wsgi_pages:checked"
PLAIN = "wsgi_pages:plain"
WRONG = "wsgi_pages:wrong"
NONE_TOO = True
leaves_a_thread = pytest.mark.skipif(
    "TRICORN_TEST_SANITIZED" in os.environ,
    reason="a thread that is left behind keeps memory of the interpreter, which the sanitizer reports as lost",
)
MIB = 1 << 20
PIECE = bytes(range(256)) * 256
"""64 KiB."""


def noted(server: Server) -> tuple[list[str], list[int]]:
    """Return what the application has noted."""
    notes, most = server.get("/noted")
    return notes, most


def environ(server: Server, target: str = "/x", fields: Any = ()) -> dict[str, Any]:
    """Return what an application is told of a request."""
    told: dict[str, Any] = server.get(target, fields)
    return told


# --- what it is told


def test_what_an_application_is_told(shared: Serve, library: str) -> None:
    told = environ(shared(APP, library), "/caf%C3%A9%2f?a=%20b&c")
    assert (
        told.items()
        >= {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/caf\xc3\xa9/",
            "QUERY_STRING": "a=%20b&c",
            "REQUEST_URI": "/caf%C3%A9%2f?a=%20b&c",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "test.example",
            "wsgi.url_scheme": "http",
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }.items()
    )
    assert told["SERVER_PORT"] == str(shared(APP, library).port)
    assert "CONTENT_LENGTH" not in told and "CONTENT_TYPE" not in told


def test_bytes_of_a_path_that_are_no_utf8(shared: Serve, library: str) -> None:
    assert environ(shared(APP, library), "/%ff%zz")["PATH_INFO"] == "/\xff%zz"


def test_fields_of_one_name_are_joined(shared: Serve, library: str) -> None:
    fields = [
        ("Accept", "a"),
        ("Cookie", "a=1"),
        ("accept", "b"),
        ("Cookie", "b=2"),
        ("Content-Type", "text/x"),
    ]
    told = environ(shared(APP, library), fields=fields)
    assert (told["HTTP_ACCEPT"], told["HTTP_COOKIE"], told["CONTENT_TYPE"]) == ("a,b", "a=1; b=2", "text/x")
    assert "HTTP_CONTENT_TYPE" not in told


def test_fields_that_would_be_taken_for_others(shared: Serve, library: str) -> None:
    """Those that name a proxy, and those that look like one that a proxy has set."""
    told = environ(shared(APP, library), fields=[("Proxy", "evil"), ("X_User", "root"), ("X-User", "me")])
    assert "HTTP_PROXY" not in told and told["HTTP_X_USER"] == "me"
    told = environ(shared(APP, library), fields=[("X_User", "root")])
    assert "HTTP_X_USER" not in told


@pytest.mark.parametrize("target", ["/", "/page", "/%C3%A9"])
def test_root_path_is_the_script_name(shared: Serve, library: str, target: str) -> None:
    told = environ(shared(APP, library, "--root-path", "/café"), target)
    assert told["SCRIPT_NAME"] == "/caf\xc3\xa9"
    assert told["PATH_INFO"] == target.replace("%C3%A9", "\xc3\xa9")


# --- bodies of requests


@pytest.mark.parametrize("size", [0, 5, 70_000])
def test_a_body_is_read(shared: Serve, library: str, size: int) -> None:
    body = (PIECE * 2)[:size]
    assert shared(APP, library).ask("POST", "/echo", body).body == body


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_upload_streams(shared: Serve, library: str, chunked: bool) -> None:
    server = shared(APP, library)
    server.ask(target="/hello")
    before = server.memory()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (len(PIECE) * 320)
    with server.connect() as client:
        client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        for _ in range(320):
            client.send(b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
        client.send(b"0\r\n\r\n" if chunked else b"")
        size, digest = client.answer().json()
    assert (size, digest) == (len(PIECE) * 320, hashlib.sha256(PIECE * 320).hexdigest())
    assert server.memory() - before < 8 * MIB


def test_a_slow_upload_takes_no_thread(shared: Serve, library: str) -> None:
    """A body that is not there yet is waited for outside of the threads."""
    server = shared(APP, library, "--wsgi-threads", "1")
    with server.connect() as slow:
        slow.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        assert server.ask(target="/hello").status == 200
        slow.send(b"llo")
        assert slow.answer().json()[0] == 5


@pytest.mark.parametrize("framing", ["Content-Length: 18", "Transfer-Encoding: chunked"])
def test_lines_of_a_body(shared: Serve, library: str, framing: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(f"POST /lines HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        for part in (b"one\ntw", b"o\nthree\nfou", b"r"):
            client.send(b"%x\r\n%s\r\n" % (len(part), part) if "chunked" in framing else part)
            time.sleep(0.01)
        client.send(b"0\r\n\r\n" if "chunked" in framing else b"")
        assert client.answer().json() == ["one\n", "two\n", "three\n", "four"]


def test_both_ways_at_once(shared: Serve, library: str) -> None:
    """Each part of the answer goes out before the next part of the request comes."""
    with shared(APP, library).connect() as client:
        client.send(b"POST /talk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n")
        head = client.until(b"got a\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        client.send(b"2\r\nb\n\r\n")
        assert client.until(b"got b\n\r\n") == b"6\r\ngot b\n\r\n"
        client.send(b"0\r\n\r\n")
        assert client.until(b"\r\n\r\n") == b"0\r\n\r\n"


def test_the_client_is_told_to_go_on_when_the_body_is_read(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    expect = b"Host: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with server.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\n" + expect)
        assert client.answer().status == 100
        client.send(b"hello")
        assert client.answer().body == b"hello"
    with server.connect() as client:
        client.send(b"POST /hello HTTP/1.1\r\n" + expect)
        assert client.answer().status == 200


def test_a_client_that_leaves_amidst_its_body(shared: Serve, library: str) -> None:
    """Its application's reading fails, and nothing is logged of that."""
    server = shared(APP, library)
    for size in (5, 1_000_000):
        with server.connect() as client:
            client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            client.send(PIECE[: size - 1] + PIECE)
            time.sleep(0.05)
    assert server.ask(target="/hello").status == 200
    assert "Exception in ASGI application" not in server.log()


# --- answers


def test_bytes_that_are_written(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/written")
    assert (answer.status, answer.body) == (201, b"one two three four")


def test_start_response_may_be_late(shared: Serve, library: str) -> None:
    assert shared(PLAIN, library).ask(target="/late").body == b"late"


@pytest.mark.parametrize(("page", "status"), [("/empty", 204), ("/unmodified", 304)])
def test_answers_without_a_body(shared: Serve, library: str, page: str, status: int) -> None:
    with shared(APP, library).connect() as client:
        assert client.ask(target=page).status == status
        assert client.ask(target="/hello").body == b"Hello, world!"


def test_head(shared: Serve, library: str) -> None:
    with shared(PLAIN, library).connect() as client:
        assert client.ask("HEAD", "/hello").get("content-length") == "13"
        assert client.ask("HEAD", "/download?count=100000&size=100000").status == 200
        assert client.ask(target="/hello").body == b"Hello, world!"


def test_a_file_by_the_wrapper(shared: Serve, library: str) -> None:
    assert shared(APP, library).ask(target="/file").body == bytes(range(256)) * 1000


def test_a_large_download_streams(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    server.ask(target="/hello")
    before = server.memory()
    answer = server.ask(target=f"/download?count=320&size={len(PIECE)}")
    digest = hashlib.sha256(b"".join(bytes([n % 251]) * len(PIECE) for n in range(320)))
    assert answer.complete and hashlib.sha256(answer.body).digest() == digest.digest()
    assert server.memory() - before < 8 * MIB


def test_a_slow_client_holds_its_application_back(own: Serve, library: str) -> None:
    """The application is asked for as much as the client takes, and is closed when it leaves."""
    server = own(APP, library)
    with server.connect() as client:
        client.request(target=f"/download?count=1000&size={len(PIECE)}")
        time.sleep(0.3)
        made = noted(server)[1][1]
        time.sleep(0.2)
        assert noted(server)[1][1] == made < 200
        client.reset()
    until(lambda: noted(server)[0] == ["closed download"], "the end of the iterable")
    assert "Exception in ASGI application" not in server.log()


def test_what_goes_wrong_before_the_head(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/replaced")
    assert (answer.status, answer.get("x-first"), answer.body) == (500, None, b"replaced")


def test_what_goes_wrong_after_it(own: Serve, library: str) -> None:
    server = own(PLAIN, library)
    answer = server.ask(target="/too_late")
    assert answer.status == 200 and not answer.complete and answer.body == b"begun"
    assert "ValueError: in the midst" in server.log()
    assert noted(server)[0] == ["closed too_late"]


def test_an_application_that_fails(own: Serve, library: str) -> None:
    """It is logged with its own frames, once, and the thread lives on."""
    server = own(APP, library, "--wsgi-threads", "1")
    assert server.ask(target="/fail").status == 500
    assert server.log().count("ValueError: on purpose") == 1 and "in fail" in server.log()
    assert server.ask(target="/leave").status == 500
    assert "RuntimeError: the WSGI application raised SystemExit" in server.log()
    assert server.ask(target="/hello").status == 200
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("/none", "TypeError: the WSGI application returned None"),
        ("/no_start", "RuntimeError: the WSGI application has not called start_response()"),
        ("/words", "TypeError: a WSGI application answers with bytes, not with str"),
        ("/hop", "ValueError: the field 'Connection' is hop-by-hop"),
        ("/status", "ValueError: the status must be of the form '200 OK', not 'OK'"),
        ("/number", "TypeError: the status must be a str"),
        ("/pairs", "TypeError: a field's name and value must be str"),
        ("/length", "ValueError: the Content-Length must be a number"),
        ("/injected", "Error: "),
        ("/twice", "RuntimeError: start_response() was called already"),
    ],
)
def test_what_pep_3333_forbids(shared: Serve, library: str, page: str, problem: str) -> None:
    server = shared(WRONG, library)
    assert server.ask(target=page).status == 500
    assert problem in server.log()
    assert server.ask(target="/hello").status == 200


def test_more_and_less_than_the_content_length(shared: Serve, library: str) -> None:
    server = shared(WRONG, library)
    with server.connect() as client:
        assert client.ask(target="/too_much").body == b"body"
        assert client.ask(target="/hello").body == b"Hello, world!"
        assert "sends more than its Content-Length" in server.log()
        assert not client.ask(target="/too_little").complete


def test_its_log(shared: Serve, library: str) -> None:
    server = shared(PLAIN, library)
    assert server.ask(target="/log").status == 200
    assert "ERROR:    a line for the log\nERROR:    two parts\n" in server.log()


# --- threads


def test_each_request_has_context_variables_of_its_own(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--wsgi-threads", "1")
    for _ in range(3):
        assert server.ask(target="/context").body == b"nothing tricorn-wsgi"


def test_200_requests_on_4_threads(own: Serve, library: str) -> None:
    """All are answered, four at a time."""
    server = own(APP, library, "--wsgi-threads", "4")
    clients = [server.connect() for _ in range(200)]
    for client in clients:
        client.request(target="/snooze")
    for client in clients:
        assert client.answer().body == b"snoozed"
        client.close()
    notes, most = noted(server)
    assert notes == ["snoozed"] * 200 and most == [0, 4]


@leaves_a_thread
def test_who_leaves_the_line_is_not_served(own: Serve, library: str) -> None:
    server = own(APP, library, "--wsgi-threads", "1")
    with server.connect() as first, server.connect() as last:
        first.request(target="/wait")
        gone = [server.connect() for _ in range(50)]
        for client in gone:
            client.request(target="/snooze")
        time.sleep(0.1)
        for client in gone:
            client.close()
        last.request(target="/noted")
        time.sleep(0.1)
        assert last.quiet()
        first.reset()
    # The thread is at its gate for 20 s: nothing else runs, and the stop does not wait for it.
    server.send_signal()
    until(lambda: "Waiting for" in server.log(), "the stop")
    server.send_signal()
    assert server.wait() == 128 + signal.SIGTERM
    assert "Leaving 1 thread(s) behind" in server.log()


def test_threads_that_are_all_at_work_block_nobody_else(own: Serve, library: str) -> None:
    """An application of ASGI beside that of WSGI goes on."""
    server = own("wsgi_pages:beside", library)
    with server.connect() as first, server.connect() as second:
        first.request(target="/old/wait")
        second.request(target="/old/x")
        for _ in range(20):
            assert server.ask(target="/").body == b"new"
        assert second.quiet()
    assert server.ask(target="/").body == b"new"


def test_a_load_balancer_is_answered_meanwhile(own: Serve, library: str) -> None:
    """The path of its question is no application's."""
    server = own(PLAIN, library, "--wsgi-threads", "1", "--health-path", "/healthz")
    with server.connect() as first:
        first.request(target="/wait")
        for _ in range(5):
            assert server.ask(target="/healthz").status == 200
        assert first.quiet()


def test_a_mounted_application(shared: Serve, library: str) -> None:
    told = environ(shared("wsgi_pages:beside", library), "/old/%41")
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == ("/old", "/A")


def test_many_clients_that_come_and_go(own: Serve, library: str) -> None:
    """Whatever they were at; afterwards everything is as before."""
    server = own(PLAIN, library, "--wsgi-threads", "4")

    def visit(number: int) -> None:
        for turn in range(20):
            client = server.connect()
            target = ("/hello", "/stream", "/download?count=50&size=9000", "/context")[(number + turn) % 4]
            client.request(target=target)
            if turn % 3:
                client.exactly(10)
            client.reset() if turn % 2 else client.close()

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.ask(target="/hello").body == b"Hello, world!"
    notes = noted(server)[0]
    assert notes.count("closed stream") > 0
    assert "Exception in ASGI application" not in server.log()
    assert server.stop() == 0


# --- the server's stop


def test_a_stop_waits_for_threads_at_work(own: Serve, library: str) -> None:
    server = own(APP, library)
    with server.connect() as client:
        client.request(target="/download?count=1000&size=10000")
        client.exactly(100)
        server.send_signal()
        until(lambda: "Waiting for 1 request(s)" in server.log(), "the stop")
        assert client.rest().endswith(b"0\r\n\r\n")
    assert server.wait() == 0
    assert "lifespan" not in server.log()


def test_a_stop_closes_what_does_not_end(own: Serve, library: str) -> None:
    server = own(APP, library, "--timeout-graceful-shutdown", "0.3")
    with server.connect() as client:
        client.request(target="/stream")
        client.exactly(100)
        server.send_signal()
        client.rest()
    assert server.wait() == 0
    assert "Leaving" not in server.log() and "Traceback" not in server.log()


@pytest.mark.parametrize("target", [pytest.param("/stuck", marks=leaves_a_thread), "/talk"])
def test_a_stuck_thread_does_not_keep_the_process(own: Serve, library: str, target: str) -> None:
    """Whether it sleeps, is left behind and dies with the process, or waits for its client and is let go."""
    server = own(APP, library, "--timeout-graceful-shutdown", "0.3")
    with server.connect() as client:
        client.send(
            b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n" % target.encode()
        )
        if target == "/stuck":
            until(lambda: noted(server)[0] == ["stuck"], "the thread")
        else:
            client.until(b"got a")
        begun = time.monotonic()
        server.send_signal()
        assert server.wait() == 0
    assert time.monotonic() - begun < 4
    assert ("Leaving 1 thread(s) behind" in server.log()) == (target == "/stuck")


def test_a_websocket_is_refused(shared: Serve, library: str) -> None:
    upgrade = [
        ("Connection", "upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    with shared(APP, library).connect() as client:
        assert client.ask(target="/hello", fields=upgrade).status == 403


def test_interface_wsgi_is_believed(shared: Serve, library: str) -> None:
    server = shared(PLAIN, library, "--interface", "wsgi", "--lifespan", "on")
    with server.connect() as client:
        assert client.ask(target="/hello").body == b"Hello, world!"
        data = json.loads(client.ask(target="/x").body)
    assert data["PATH_INFO"] == "/x"
