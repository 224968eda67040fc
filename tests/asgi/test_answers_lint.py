"""What a linter of HTTP messages says about answers of every kind: nothing bad that is the server's doing.

Every answer that a test reads is looked at by itself (``harness.Client``); here it is beside its request.
"""

from __future__ import annotations

import socket

import pytest
from answer_lint import bad_notes
from harness import Answer, Client, Serve
from httplint import HttpRequestLinter

APP = "wire:app"
NONE_TOO = True
HOST = b"Host: test.example\r\n"
OPTIONS = (
    "--limit-request-line", "100", "--limit-request-fields", "5", "--limit-request-head", "1000",
    "--limit-request-body", "1000", "--timeout-request-head", "0.5", "--timeout-request-body", "0.5",
    "--header", "X-Added: 1", "--header", "Vary: Accept",
)  # fmt: skip


def get(target: str, *fields: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """Return a request without a body."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return method + b" " + target.encode() + b" HTTP/" + version + b"\r\n" + HOST + lines + b"\r\n"


REQUESTS: dict[str, tuple[bytes, list[int]]] = {
    "length": (get("/hello"), [200]),
    "chunked": (get("/stream"), [200]),
    "chunked-while-waiting": (get("/stream?ms=2"), [200]),
    "empty": (get("/number?n="), [200]),
    "not-found": (get("/nowhere"), [404]),
    "no-content": (get("/ignore?code=204"), [204]),
    "not-modified": (get("/ignore?code=304"), [304]),
    "failure": (get("/fail"), [500]),
    "close": (get("/hello", b"Connection: close"), [200]),
    "head-of-length": (get("/hello", method=b"HEAD"), [200]),
    "head-of-chunked": (get("/stream?ms=2", method=b"HEAD"), [200]),
    "head-of-failure": (get("/fail", method=b"HEAD"), [500]),
    "head-of-not-found": (get("/nowhere", method=b"HEAD"), [404]),
    "old": (get("/hello", version=b"1.0"), [200]),
    "old-stream": (get("/stream?ms=2", version=b"1.0"), [200]),
    "old-kept-alive": (get("/hello", b"Connection: keep-alive", version=b"1.0"), [200]),
    "options": (get("/hello", method=b"OPTIONS"), [200]),
    "continue": (get("/echo", b"Expect: 100-continue", b"Content-Length: 0", method=b"POST"), [200]),
    "continue-needed": (
        get("/read_some", b"Expect: 100-continue", b"Transfer-Encoding: chunked", method=b"POST"), [100]
    ),
    "bad": (b"bad\r\n\r\n", [400]),
    "bad-chunk": (get("/echo", b"Transfer-Encoding: chunked", method=b"POST") + b"x\r\n", [400]),
    "late-body": (get("/echo", b"Content-Length: 5", method=b"POST"), [408]),
    "late-head": (b"GET /hello HTTP/1.1\r\n", [408]),
    "large-body": (get("/echo", b"Content-Length: 5000", method=b"POST"), [413]),
    "long-target": (get("/" + "a" * 200), [414]),
    "unknown-expectation": (get("/hello", b"Expect: magic"), [417]),
    "large-head": (get("/hello", b"A: " + b"b" * 1000), [431]),
    "many-fields": (get("/hello", *[b"A: b"] * 10), [431]),
    "connect": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", [501]),
    "unknown-version": (get("/hello", version=b"3.0"), [505]),
    "pipelined": (get("/hello") + get("/stream") + get("/number?n=1&ms=2") + b"bad\r\n\r\n", [200, 200, 200, 400]),
}  # fmt: skip


def complaints(request: bytes, answer: Answer) -> list[str]:
    """Return what the linter finds bad in an answer."""
    method, target, version = (request.split(b"\r\n")[0].split() + [b""] * 3)[:3]
    asked = HttpRequestLinter()
    asked.process_request_topline(method, b"http://test.example" + target, version.rpartition(b"/")[2])
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    asked.process_headers(
        [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    )
    topline = (answer.version, answer.status, answer.reason)
    content = None if method == b"HEAD" else answer.body
    return bad_notes(topline, answer.fields, content, complete=answer.complete, asked=asked)


@pytest.mark.parametrize("kind", REQUESTS)
def test_answer_has_nothing_bad(shared: Serve, library: str, kind: str) -> None:
    request, statuses = REQUESTS[kind]
    with shared(APP, library, *OPTIONS).connect() as client:
        client.send(request)
        for status in statuses:
            answer = client.answer(head=request.startswith(b"HEAD "))
            assert answer.status == status and answer.complete
            assert complaints(request, answer) == []


def test_linter_sees_what_is_bad() -> None:
    """The linter is asked rightly: a wrong length, date or field would be found."""
    request = get("/hello")
    good = Answer("HTTP/1.1", 200, "OK", [("content-length", "2")], b"ab")
    assert complaints(request, good) == []
    for name, value in [("content-length", "3"), ("date", "then"), ("connection", "a b")]:
        assert complaints(request, Answer("HTTP/1.1", 200, "OK", [(name, value)], b"ab"))
    assert complaints(request, Answer("HTTP/1.1", 204, "No Content", [], b"ab"))


@pytest.mark.parametrize("field", [b"date: now", b"connection: a b", b"content-length: 3"])
def test_client_fails_at_what_is_bad(field: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, Client(theirs) as client:
        ours.sendall(b"HTTP/1.1 404 Not Found\r\n" + field + b"\r\n\r\nab")
        ours.shutdown(socket.SHUT_WR)
        if field.startswith(b"content-length"):
            assert not client.answer().complete  # which its reader sees
        else:
            with pytest.raises(AssertionError, match=field.partition(b":")[0].decode()):
                client.answer()
