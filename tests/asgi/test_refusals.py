"""What the core refuses by itself: bad requests, limits, deadlines. Nothing of it reaches the application."""

from __future__ import annotations

import re
import socket
import ssl
import time

import pytest
from harness import TIMEOUT, Serve, Server, until

APP = "wire:app"
NONE_TOO = True
HOST = b"Host: a\r\n"

BAD_HEADS: dict[str, bytes] = {
    "not-http": b"hello\r\n\r\n",
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "http-0.9": b"GET /bad\r\n\r\n",
    "version-in-lower-case": b"GET /bad http/1.1\r\n" + HOST + b"\r\n",
    "version-of-one-part": b"GET /bad HTTP/1\r\n" + HOST + b"\r\n",
    "version-with-more": b"GET /bad HTTP/1.1x\r\n" + HOST + b"\r\n",
    "version-with-leading-zero": b"GET /bad HTTP/01.1\r\n" + HOST + b"\r\n",
    "method-missing": b" /bad HTTP/1.1\r\n" + HOST + b"\r\n",
    "method-not-a-token": b"G(T /bad HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-missing": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-with-space": b"GET /bad /bad HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-with-control": b"GET /bad\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-with-nul": b"GET /bad\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-with-delete": b"GET /bad\x7f HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-not-a-path": b"GET bad HTTP/1.1\r\n" + HOST + b"\r\n",
    "target-with-fragment": b"GET /bad#part HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk-with-get": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "tab-in-request-line": b"GET\t/bad HTTP/1.1\r\n" + HOST + b"\r\n",
    "two-spaces": b"GET  /bad HTTP/1.1\r\n" + HOST + b"\r\n",
    "bare-cr-in-request-line": b"GET /bad HTTP/1.1\r" + HOST + b"\r\n",
    "bare-cr-in-value": b"GET /bad HTTP/1.1\r\n" + HOST + b"A: b\rC: d\r\n\r\n",
    "nul-in-value": b"GET /bad HTTP/1.1\r\n" + HOST + b"A: b\0c\r\n\r\n",
    "control-in-value": b"GET /bad HTTP/1.1\r\n" + HOST + b"A: b\x08c\r\n\r\n",
    "delete-in-value": b"GET /bad HTTP/1.1\r\n" + HOST + b"A: b\x7fc\r\n\r\n",
    "fold": b"GET /bad HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    "space-before-first-field": b"GET /bad HTTP/1.1\r\n " + HOST + b"\r\n",
    "space-before-colon": b"GET /bad HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n",
    "tab-before-colon": b"GET /bad HTTP/1.1\r\n" + HOST + b"A\t: b\r\n\r\n",
    "no-colon": b"GET /bad HTTP/1.1\r\n" + HOST + b"A\r\n\r\n",
    "name-empty": b"GET /bad HTTP/1.1\r\n" + HOST + b": b\r\n\r\n",
    "name-with-space": b"GET /bad HTTP/1.1\r\n" + HOST + b"A b: c\r\n\r\n",
    "name-with-parentheses": b"GET /bad HTTP/1.1\r\n" + HOST + b"A(b): c\r\n\r\n",
    "name-not-ascii": b"GET /bad HTTP/1.1\r\n" + HOST + b"\xe9: c\r\n\r\n",
    "host-missing": b"GET /bad HTTP/1.1\r\n\r\n",
    "host-twice": b"GET /bad HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "host-malformed": b"GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host-with-path": b"GET /bad HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host-with-user": b"GET /bad HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "host-list": b"GET /bad HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "absolute-without-host": b"GET http:///bad HTTP/1.1\r\n" + HOST + b"\r\n",
    "length-and-coding": b"POST /bad HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "lengths-that-differ": b"POST /bad HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length-list-that-differs": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 2\r\n\r\nab",
    "length-list-repeated": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: 2, 2\r\n\r\nab",
    "lengths-repeated": b"POST /bad HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "length-with-plus": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na",
    "length-negative": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\na",
    "length-with-underscore": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "length-hexadecimal": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: 0x1\r\n\r\na",
    "length-empty": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\n",
    "length-with-space": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: 1 0\r\n\r\n0123456789",
    "length-too-large": b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: 18446744073709551617\r\n\r\na",
    "length-of-many-digits": b"POST /bad HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: "
    + b"9" * 100
    + b"\r\n\r\n",
    "chunked-in-1.0": b"POST /bad HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding-not-final": b"POST /bad HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "coding-twice": b"POST /bad HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "coding-in-two-fields": b"POST /bad HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding-empty": b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n",
    "coding-with-vertical-tab": b"POST /bad HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
}

OTHER_STATUS: dict[str, tuple[bytes, int]] = {
    "version-2": (b"GET /bad HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "version-9": (b"GET /bad HTTP/9.9\r\n" + HOST + b"\r\n", 505),
    "connect": (b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "expectation": (b"POST /bad HTTP/1.1\r\n" + HOST + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\na", 417),
}

CODINGS: dict[str, bytes] = {
    "unknown": b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: magic\r\n\r\n0\r\n\r\n",
    "gzip": b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "xchunked": b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "quoted": b"POST /bad HTTP/1.1\r\n" + HOST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
}

BAD_CHUNKS: dict[str, bytes] = {
    "size-not-hexadecimal": b"g\r\na\r\n",
    "size-empty": b"\r\na\r\n",
    "size-negative": b"-1\r\na\r\n",
    "size-with-prefix": b"0x1\r\na\r\n",
    "size-with-underscore": b"1_0\r\na\r\n",
    "size-with-plus": b"+1\r\na\r\n",
    "size-too-large": b"1" + b"0" * 16 + b"\r\n",
    "size-after-space": b" 1\r\na\r\n",
    "size-with-bare-lf": b"1\na\r\n",
    "size-with-bare-cr": b"1\ra\r\n",
    "chunk-too-long": b"1\r\nab\r\n",
    "chunk-without-end": b"1\r\na0\r\n\r\n",
    "chunk-with-bare-lf": b"1\r\na\n0\r\n\r\n",
    "extension-with-control": b"1;a=\x01\r\na\r\n",
    "extension-with-bare-lf": b"1;a=b\na\r\n",
    "trailer-malformed": b"0\r\nA b: c\r\n\r\n",
    "trailer-with-bare-lf": b"0\r\nA: b\n\r\n",
    "end-with-bare-lf": b"0\r\n\n",
}


def refused(server: Server, data: bytes, status: int) -> None:
    """Send bytes and see them refused: one answer, the end, and nothing for the application."""
    smuggled = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    with server.connect() as client:
        client.send(data + smuggled)
        answer = client.answer()
        assert answer.status == status and answer.complete
        assert answer.get("connection") == "close"
        assert client.closed(), "more than one answer"
    seen = server.get("/seen")
    assert "/smuggled" not in seen and "/bad" not in seen


@pytest.mark.parametrize("case", BAD_HEADS)
def test_400_for_a_bad_head(shared: Serve, library: str, case: str) -> None:
    refused(shared(APP, library), BAD_HEADS[case], 400)


@pytest.mark.parametrize("case", OTHER_STATUS)
def test_heads_refused_otherwise(shared: Serve, library: str, case: str) -> None:
    refused(shared(APP, library), *OTHER_STATUS[case])


@pytest.mark.parametrize("case", CODINGS)
def test_400_for_an_unknown_coding(shared: Serve, library: str, case: str) -> None:
    refused(shared(APP, library), CODINGS[case], 400)


@pytest.mark.parametrize("case", BAD_CHUNKS)
def test_400_for_a_bad_chunked_body(shared: Serve, library: str, case: str) -> None:
    """The application has begun already: it sees a disconnect, its answer is not sent."""
    server = shared(APP, library)
    head = b"POST /wait_for_body?token=" + case.encode() + b" HTTP/1.1\r\n" + HOST
    with server.connect() as client:
        client.send(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        client.send(BAD_CHUNKS[case] + b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = client.answer()
        assert answer.status == 400 and answer.get("connection") == "close" and client.closed()
    until(lambda: [case, "http.disconnect"] in server.get("/noted"), "the disconnect")
    assert "/smuggled" not in server.get("/seen")


def test_400_after_good_requests_comes_after_their_answers(shared: Serve, library: str) -> None:
    good = b"GET /number?n=1&ms=20 HTTP/1.1\r\n" + HOST + b"\r\n"
    with shared(APP, library).connect() as client:
        client.send(good * 2 + b"bad\r\n\r\n" + good)
        assert [client.answer().status for _ in range(3)] == [200, 200, 400]
        assert client.closed()


def test_400_for_tls_at_a_plain_port(shared: Serve, library: str) -> None:
    """At once: a ClientHello has no line's end, and its client sends nothing else before it is answered."""
    server = shared(APP, library)
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as plain:
        context = ssl.create_default_context()
        with pytest.raises(ssl.SSLError, match="wrong version number"):
            context.wrap_socket(plain, server_hostname="localhost")
    until(lambda: "TLS is spoken at a port without it" in server.log(), "the log says why")


def test_bare_lf_ends_no_line(shared: Serve, library: str) -> None:
    """RFC 9112 §2.2 lets a recipient take a bare LF; it is refused here, as a source of smuggling."""
    refused(shared(APP, library), b"GET /bad HTTP/1.1\n" + HOST + b"\r\n", 400)
    refused(shared(APP, library), b"GET /bad HTTP/1.1\r\nHost: a\n\r\n", 400)


LIMITS = (
    "--limit-request-line", "100", "--limit-request-head", "400", "--limit-request-fields", "5",
    "--limit-request-body", "1000", "--limit-trailers", "50", "--limit-chunk-extensions", "50",
)  # fmt: skip


def test_414_for_a_long_target(shared: Serve, library: str) -> None:
    server = shared(APP, library, *LIMITS)
    refused(server, b"GET /" + b"b" * 100 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414)
    assert server.ask(target="/number?n=" + "5" * 60).status == 200


def test_414_before_the_line_ends(shared: Serve, library: str) -> None:
    with shared(APP, library, *LIMITS).connect() as client:
        client.send(b"GET /" + b"b" * 200)
        assert client.answer().status == 414 and client.closed()


def test_431_for_a_long_head(shared: Serve, library: str) -> None:
    server = shared(APP, library, *LIMITS)
    refused(server, b"GET /bad HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 400 + b"\r\n\r\n", 431)
    assert server.ask(target="/hello", fields=[("A", "b" * 200)]).status == 200


def test_431_before_the_head_ends(shared: Serve, library: str) -> None:
    with shared(APP, library, *LIMITS).connect() as client:
        client.send(b"GET /bad HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 500)
        assert client.answer().status == 431 and client.closed()


def test_431_for_many_fields(shared: Serve, library: str) -> None:
    server = shared(APP, library, *LIMITS)
    refused(server, b"GET /bad HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 5 + b"\r\n", 431)
    assert server.ask(target="/hello", fields=[("A", "b")] * 3).status == 200


def test_413_for_a_long_body(shared: Serve, library: str) -> None:
    server = shared(APP, library, *LIMITS)
    refused(server, b"POST /bad HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\n\r\n", 413)
    assert server.ask("POST", "/echo", b"a" * 1000).body == b"a" * 1000


def test_413_without_a_continue(shared: Serve, library: str) -> None:
    with shared(APP, library, *LIMITS).connect() as client:
        client.request("POST", "/bad", None, [("Expect", "100-continue"), ("Content-Length", "1001")])
        assert client.answer().status == 413 and client.closed()


def test_413_in_the_middle_of_a_chunked_body(shared: Serve, library: str) -> None:
    with shared(APP, library, *LIMITS).connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            client.send(b"64\r\n" + b"a" * 100 + b"\r\n")
        client.send(b"1\r\n")
        assert client.answer().status == 413 and client.closed()


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"0\r\nA: " + b"b" * 60 + b"\r\n\r\n", 431), (b"1;" + b"a" * 60 + b"\r\nb\r\n", 400)],
    ids=["trailers", "extensions"],
)
def test_limits_of_what_surrounds_chunks(shared: Serve, library: str, data: bytes, status: int) -> None:
    with shared(APP, library, *LIMITS).connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + data)
        assert client.answer().status == status and client.closed()


def test_503_over_the_concurrency_limit(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--limit-concurrency", "2")
    with server.connect() as first, server.connect() as second:
        first.request(target="/number?n=1&ms=500")
        second.request(target="/number?n=2&ms=500")
        until(lambda: server.ask(target="/hello").status == 503, "a refusal")
        assert first.answer().body == b"1" and second.answer().body == b"2"
        assert server.ask(target="/hello").status == 200


def test_503_over_the_connection_limit(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--limit-connections", "2")
    with server.connect() as first, server.connect() as second:
        assert first.ask(target="/hello").status == 200
        assert second.ask(target="/hello").status == 200
        with server.connect() as third:
            assert third.answer().status == 503 and third.closed()
    until(lambda: server.ask(target="/hello").status == 200, "room again")


DEADLINES = (
    "--timeout-first-request", "0.5", "--timeout-request-head", "0.5", "--timeout-request-body", "0.5",
    "--timeout-write", "0.5", "--min-request-body-rate", "1000",
)  # fmt: skip


def within(began: float) -> bool:
    """Tell whether a deadline of half a second was kept, with room for a busy machine."""
    return 0.4 <= time.monotonic() - began < TIMEOUT / 3


def test_silent_connection_is_closed(shared: Serve, library: str) -> None:
    with shared(APP, library, *DEADLINES).connect() as client:
        began = time.monotonic()
        assert client.closed() and within(began)


def test_408_for_a_dribbled_head(shared: Serve, library: str) -> None:
    with shared(APP, library, *DEADLINES).connect() as client:
        assert client.ask(target="/hello").status == 200
        client.send(b"GET /hello HTTP/1.1\r\nA: ")
        began = time.monotonic()
        while client.quiet(0.05):
            client.send(b"b")
        assert within(began)
        assert client.answer().status == 408 and client.closed()


def test_408_for_a_stalled_body(shared: Serve, library: str) -> None:
    server = shared(APP, library, *DEADLINES)
    with server.connect() as client:
        began = time.monotonic()
        client.send(
            b"POST /wait_for_body?token=stalled HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nabc"
        )
        assert client.answer().status == 408 and client.closed() and within(began)
    until(lambda: ["stalled", "http.disconnect"] in server.get("/noted"), "the disconnect")


def test_408_for_a_dribbled_body(shared: Serve, library: str) -> None:
    with shared(APP, library, *DEADLINES).connect() as client:
        client.send(b"POST /wait_for_body?token=slow HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n")
        began = time.monotonic()
        while client.quiet(0.05):
            client.send(b"a")
        assert within(began)
        assert client.answer().status == 408 and client.closed()


def test_body_that_keeps_the_rate_may_take_its_time(shared: Serve, library: str) -> None:
    with shared(APP, library, *DEADLINES).connect() as client:
        client.send(b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 6000\r\n\r\n")
        for _ in range(12):
            client.send(b"a" * 500)
            time.sleep(0.1)
        assert client.answer().json()[0] == 6000


def test_stalled_reader_is_closed(shared: Serve, library: str) -> None:
    server = shared(APP, library, *DEADLINES)
    with server.connect() as client:
        client.request(target="/download?count=400&size=100000&token=stalled-reader")
        began = time.monotonic()
        until(lambda: "stopped reading" in server.log(), "the end of the connection")
        assert within(began)
        answer = client.answer()
        assert not answer.complete


def test_messages_of_a_flood_are_few_and_count_the_others(own: Serve, library: str) -> None:
    """The log has each of the first, then one in a second, which says how many were left out; the end says the rest."""
    flood = 300
    server = own(APP, library)
    began = time.monotonic()
    for _ in range(flood):
        with server.connect() as client:
            client.send(b"\0\r\n\r\n")
            assert client.answer().status == 400
    assert server.stop() == 0
    messages = re.findall(
        r"Refused a request from 127\.0\.0\.1:\d+ with 400: [^(\n]+(?: \(and (\d+) more since the message before\))?\n",
        server.log(),
    )
    assert messages[:64] == [""] * 64
    assert 64 < len(messages) <= 65 + time.monotonic() - began
    assert len(messages) + sum(int(more or 0) for more in messages) == flood


def test_slow_application_has_no_deadline(shared: Serve, library: str) -> None:
    with shared(APP, library, *DEADLINES).connect() as client:
        assert client.ask("POST", "/ignore?ms=1200", b"abc").body == b"ignored"
