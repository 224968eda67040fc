"""HTTP/1.1 where requests and answers overlap, and where bytes arrive in any pieces."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from harness import Client, Serve, until
from hypothesis import given, settings
from hypothesis import strategies as st

APP = "flows:app"
NONE_TOO = True
HOST = b"Host: a\r\n"
CHUNKED = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
REQUESTS: dict[str, tuple[bytes, bytes]] = {
    "get": (b"GET /number?n=5 HTTP/1.1\r\n" + HOST + b"A: b\r\n\r\n", b"5"),
    "length": (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nab\r\nc", b"ab\r\nc"),
    "chunked": (CHUNKED + b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n", b"abcde"),
    "blank": (b"\r\nGET /number?n=6 HTTP/1.1\r\n" + HOST + b"\r\n", b"6"),
    "absolute": (b"GET http://b/number?n=7 HTTP/1.1\r\n" + HOST + b"\r\n", b"7"),
    "unread": (b"POST /ignore HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nGET ", b"ignored"),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_request_cut_anywhere(shared: Serve, library: str, kind: str) -> None:
    """The second part of one request comes with the first part of the next."""
    request, body = REQUESTS[kind]
    server = shared(APP, library)
    with server.connect() as client:
        kept = b""
        for cut in range(1, len(request)):
            client.send(kept + request[:cut])
            if kept:
                assert client.answer().body == body
            kept = request[cut:]
        client.send(kept)
        assert client.answer().body == body
        assert client.quiet(0.02)


def cut_up(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at these offsets."""
    edges = [0, *sorted({cut % len(data) for cut in cuts}), len(data)]
    return [data[first:last] for first, last in pairwise(edges)]


@settings(max_examples=40)
@given(
    kinds=st.lists(st.sampled_from(sorted(REQUESTS)), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 5000), max_size=20),
)
def test_any_requests_cut_up_anyhow(shared: Serve, library: str, kinds: list[str], cuts: list[int]) -> None:
    data = b"".join(REQUESTS[kind][0] for kind in kinds)
    with shared(APP, library).connect() as client:
        for piece in cut_up(data, cuts):
            client.send(piece)
        assert [client.answer().body for _ in kinds] == [REQUESTS[kind][1] for kind in kinds]


def test_failure_ends_a_pipeline(shared: Serve, library: str) -> None:
    """What was asked before is answered; what was asked after does not reach the application."""
    server = shared("wire:app", library)
    numbers = [b"GET /number?n=%d&ms=5 HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(2)]
    with server.connect() as client:
        client.send(b"".join(numbers) + b"GET /fail HTTP/1.1\r\n" + HOST + b"\r\n")
        client.send(b"GET /after-the-failure HTTP/1.1\r\n" + HOST + b"\r\n")
        assert [client.answer().body for _ in range(2)] == [b"0", b"1"]
        answer = client.answer()
        assert answer.status == 500 and answer.get("connection") == "close" and client.closed()
    assert "/after-the-failure" not in server.get("/seen")


def test_long_pipeline(shared: Serve, library: str) -> None:
    """A thousand requests in one go are answered in order, also while the client does not read yet."""
    with shared(APP, library).connect() as client:
        for n in range(1000):
            client.send(b"GET /number?n=%d HTTP/1.1\r\n" % n + HOST + b"\r\n")
        for n in range(1000):
            assert client.answer().body == b"%d" % n


def test_pipeline_behind_a_waiting_request_is_held_back(shared: Serve, library: str) -> None:
    """The server does not take what it cannot serve yet: the client is held up, memory stays flat."""
    server = shared(APP, library)
    server.ask(target="/hello")
    before = server.memory()
    with server.connect() as client:
        client.request(target="/held_page")
        until(lambda: server.ask(target="/held_now").body == b"1", "the application waits")
        flood = b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n"
        assert not taken(client, flood * 1000, 40 << 20), "40 MiB of requests were taken"
        assert server.memory() - before < 8 << 20
        server.ask(target="/let")
        assert client.answer().body == b"held"
        assert client.answer().body == b"Hello, world!"
    assert server.ask(target="/hello").status == 200


def test_pipeline_that_the_core_answers_is_held_back(shared: Serve, library: str) -> None:
    """No application slows it down: a client that asks without end and reads nothing costs no more than a bound."""
    server = shared(APP, library, "--health-path", "/healthz")
    server.ask(target="/healthz")
    before = server.memory()
    with server.connect(room=4096) as client:
        flood = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
        assert not taken(client, flood * 1000, 64 << 20), "64 MiB of requests were taken"
        assert server.memory() - before < 8 << 20
        assert server.ask(target="/hello").status == 200
        assert all(client.answer().body == b"ok\n" for _ in range(1000))


def taken(client: Client, data: bytes, total: int) -> bool:
    """Send over and over until ``total`` bytes are gone, or none go for a while."""
    client.socket.settimeout(0.3)
    sent = 0
    try:
        while sent < total:
            sent += client.socket.send(data)
    except TimeoutError:
        return False
    finally:
        client.socket.settimeout(15)
    return True


def test_no_continue_within_an_answer(shared: Serve, library: str) -> None:
    """RFC 9110 §10.1.1: after the final status has gone out, a 100 would stand in the midst of the body."""
    with shared(APP, library).connect() as client:
        fields = [("Expect", "100-continue"), ("Content-Length", "4")]
        client.request("POST", "/answer_then_read", None, fields)
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert client.exactly(11) == b"6\r\nbegun:\r\n"
        assert client.quiet(0.05)
        client.send(b"body")
        assert client.exactly(14) == b"4\r\nbody\r\n0\r\n\r\n"


def test_no_second_continue(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        fields = [("Expect", "100-continue"), ("Content-Length", "4")]
        client.request("POST", "/echo", None, fields)
        assert client.answer().status == 100
        for byte in (b"b", b"o", b"d"):
            client.send(byte)
            assert client.quiet(0.02)
        client.send(b"y")
        assert client.answer().body == b"body"


def test_continue_comes_after_the_answers_before_it(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.request(target="/number?n=1&ms=20")
        client.request("POST", "/echo", None, [("Expect", "100-continue"), ("Content-Length", "4")])
        assert [client.answer().status for _ in range(2)] == [200, 100]
        client.send(b"body")
        assert client.answer().body == b"body"


def test_F3_concurrent_receives_share_the_body(shared: Serve, library: str) -> None:
    """Each piece goes to one of them, the end to one, and the disconnect to all that are left."""
    server = shared(APP, library)
    with server.connect() as client:
        client.send(b"POST /read_by_turns HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for n in range(10):
            client.send(b"2\r\np%d\r\n" % n)
            time.sleep(0.002)
        client.send(b"0\r\n\r\n")
        pieces = "".join(client.answer().json())
        assert sorted(pieces.replace("p", "")) == list("0123456789") and pieces.count("p") == 10
        until(lambda: ["tasks that ended", 3] in server.get("/noted"), "the tasks end with the answer")


@pytest.mark.parametrize("kind", ["tuple", "generator", "items"])
def test_R3_fields_in_any_iterable(shared: Serve, library: str, kind: str) -> None:
    answer = shared(APP, library).ask(target=f"/field_kinds?kind={kind}")
    assert [answer.get("x-a"), answer.get("x-b"), answer.body] == ["1", "2", b"fine"]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_R2_half_close_within_a_body_is_a_disconnect(shared: Serve, library: str, chunked: bool) -> None:
    """The rest of the body can never come."""
    server = shared(APP, library)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 9"
    token = f"half-{chunked}"
    with server.connect() as client:
        client.send(f"POST /wait_for_body?token={token} HTTP/1.1\r\nHost: a\r\n".encode())
        client.send(framing + b"\r\n\r\n" + (b"3\r\nabc\r\n" if chunked else b"abc"))
        client.socket.shutdown(1)
        until(lambda: [token, "http.disconnect"] in server.get("/noted"), "the disconnect")
        assert b" 200 " not in client.rest()


@pytest.mark.parametrize("part", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n", b""])
def test_half_close_within_a_head_ends_the_connection(shared: Serve, library: str, part: bytes) -> None:
    with shared(APP, library).connect() as client:
        client.send(part)
        client.socket.shutdown(1)
        rest = client.rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
