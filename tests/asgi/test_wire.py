"""HTTP/1.1 on the wire: framing, connections, pipelining, expectations."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import pytest
from harness import TIMEOUT, Client, Serve

APP = "wire:app"
LEAN = ("--no-date-header", "--no-server-header")


def in_order(client: Client) -> bool:
    """Tell whether the connection can be used further."""
    return client.ask("POST", "/echo", b"still in order").body == b"still in order"


def test_answer_has_date_server_and_framing(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/hello")
    assert (answer.status, answer.reason, answer.body) == (200, "OK", b"Hello, world!")
    assert answer.get("content-type") == "text/plain" and answer.get("server") == "tricorn"
    date = answer.get("date")
    assert date and abs(parsedate_to_datetime(date).timestamp() - time.time()) < 5
    assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)


def test_date_and_server_can_be_switched_off(shared: Serve, library: str) -> None:
    answer = shared(APP, library, *LEAN).ask(target="/hello")
    assert answer.get("date") is None and answer.get("server") is None
    answer = shared(APP, library, *LEAN).ask(target="/nowhere\x7f")
    assert answer.status == 400 and answer.get("date") is None and answer.get("server") is None


def test_date_and_server_of_the_application_win(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/fields?server=mine&date=then&x-a=b")
    assert (answer.get("server"), answer.get("date"), answer.get("x-a")) == ("mine", "then", "b")


def test_header_option_adds_fields(shared: Serve, library: str) -> None:
    options = ("--header", "X-One: 1", "--header", "X-Two:2", "--header", "Server: other")
    answer = shared(APP, library, *options).ask(target="/hello")
    assert (answer.get("x-one"), answer.get("x-two"), answer.get("server")) == ("1", "2", "other")


@pytest.mark.parametrize("page", ["/hello", "/stream", "/number?n=5&ms=5", "/fail", "/nowhere"])
def test_head_is_answered_as_get_without_a_body(shared: Serve, library: str, page: str) -> None:
    with shared(APP, library).connect() as client:
        answer = client.ask("HEAD", page)
        assert answer.status == {"/fail": 500, "/nowhere": 404}.get(page, 200)
        if page == "/hello":
            assert answer.get("content-length") == "13"
        if page == "/fail":
            assert client.closed()
        else:
            assert in_order(client)


def test_http_1_0_is_closed_and_never_chunked(shared: Serve, library: str) -> None:
    for page in ("/hello", "/stream?ms=2"):
        with shared(APP, library).connect() as client:
            client.send(f"GET {page} HTTP/1.0\r\n\r\n".encode())
            answer = client.answer()
            assert answer.get("transfer-encoding") is None
            assert answer.body == {"/hello": b"Hello, world!"}.get(page, b"abc")
            assert answer.get("connection") in {"close", None} and client.closed()


def test_http_1_0_is_kept_alive_when_asked(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        for _ in range(2):
            client.send(b"GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            answer = client.answer()
            assert answer.body == b"Hello, world!"
            assert (answer.get("connection") or "").lower() == "keep-alive"
        client.send(b"GET /stream?ms=2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = client.answer()
        assert answer.framing == "close" and answer.body == b"abc", "without a length there is no other end"
        assert (answer.get("connection") or "close") == "close"


@pytest.mark.parametrize("option", ["close", "Close", "keep-alive, close", "x , close"])
def test_connection_close_is_obeyed_and_told(shared: Serve, library: str, option: str) -> None:
    with shared(APP, library).connect() as client:
        answer = client.ask(target="/hello", fields=[("Connection", option)])
        assert answer.get("connection") == "close" and answer.body == b"Hello, world!"
        assert client.closed()


def test_connection_close_of_the_application_is_obeyed(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        answer = client.ask(target="/fields?connection=close")
        assert answer.get("connection") == "close" and answer.body == b"body"
        assert client.closed()


def test_keep_alive_serves_many(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        for n in range(50):
            assert client.ask(target=f"/number?n={n}").body == b"%d" % n


@pytest.mark.parametrize("extra", ["", "&ms=3"], ids=["finished", "suspended"])
def test_pipelined_answers_come_in_order(shared: Serve, library: str, extra: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(
            b"".join(f"GET /number?n={n}{extra} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for n in range(16))
        )
        assert [client.answer().body for _ in range(16)] == [b"%d" % n for n in range(16)]
        assert in_order(client)


def test_pipelined_answers_leave_together(shared: Serve, library: str) -> None:
    """One read gives them all, save for bad luck, which does not strike five times."""
    with shared(APP, library).connect() as client:
        for _ in range(5):
            client.send(b"GET /number?n=7 HTTP/1.1\r\nHost: a\r\n\r\n" * 16)
            data = client.socket.recv(1 << 16)
            if data.count(b"HTTP/1.1 200 ") == 16 and data.endswith(b"\r\n\r\n7"):
                return
            while data.count(b"\r\n\r\n7") < 16:
                data += client.socket.recv(1 << 16)
        pytest.fail("the answers of one batch never came together")


def test_pipelined_bodies_of_all_kinds(shared: Serve, library: str) -> None:
    requests = (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
        b"GET /stream?ms=1 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nGET / "
        b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    server = shared(APP, library)
    with server.connect() as client:
        client.send(requests)
        bodies = [client.answer(head=n == 1).body for n in range(6)]
        assert bodies == [b"abc", b"", b"de", b"abc", b"ignored", b"Hello, world!"]
        assert client.closed()
    assert "/never" not in server.get("/seen")


def test_request_in_single_bytes(shared: Serve, library: str) -> None:
    request = (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nde"
    )
    with shared(APP, library).connect() as client:
        for byte in request:
            client.send(bytes([byte]))
        assert [client.answer().body for _ in range(2)] == [b"abc", b"de"]


def test_empty_line_before_a_request_is_skipped(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        for _ in range(2):
            client.send(b"\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.answer().status == 200


def test_continue_comes_when_the_application_receives(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.request("POST", "/echo", None, [("Expect", "100-continue"), ("Content-Length", "4")])
        interim = client.answer()
        assert (interim.status, interim.fields) == (100, [])
        client.send(b"body")
        assert client.answer().body == b"body"
        assert in_order(client)


def test_no_continue_when_the_application_does_not_receive(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.request(
            "POST", "/ignore?code=403", None, [("Expect", "100-continue"), ("Content-Length", "4")]
        )
        answer = client.answer()
        assert answer.status == 403 and answer.body == b"ignored"


def test_no_continue_when_the_body_is_there(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.request("POST", "/echo", b"body", [("Expect", "100-continue")])
        answer = client.answer()
        assert answer.status in {100, 200}
        assert (client.answer() if answer.status == 100 else answer).body == b"body"


def test_no_continue_for_http_1_0(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert client.quiet(0.05)
        client.send(b"body")
        assert client.answer().body == b"body"


def test_unknown_upgrade_is_ignored(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        fields = [("Connection", "upgrade"), ("Upgrade", "h2c, magic/7")]
        assert client.ask(target="/hello", fields=fields).status == 200
        assert in_order(client)


def test_asterisk_reaches_the_application(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        assert client.ask("OPTIONS", "*").status == 404, "the application has no such page"
        assert in_order(client)


@pytest.mark.parametrize("size", [0, 1, 100, 65_535, 65_536, 65_537, 1_000_000])
def test_bodies_of_every_size(shared: Serve, library: str, size: int) -> None:
    body = bytes(n % 256 for n in range(1000)) * (size // 1000 + 1)
    body = body[:size]
    with shared(APP, library).connect() as client:
        assert client.ask("POST", "/echo", body).body == body
        chunks = [body[at : at + 10_000] for at in range(0, size, 10_000)]
        data = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
        client.send(b"0\r\n\r\n")
        assert client.answer().body == body
        assert in_order(client)


def test_half_closed_client_gets_its_answers(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(b"GET /number?n=1&ms=20 HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        client.socket.shutdown(1)
        assert [client.answer().body for _ in range(3)] == [b"1"] * 3
        assert client.closed()


def test_half_closed_client_gets_a_stream(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.request(target="/stream?ms=10")
        client.socket.shutdown(1)
        answer = client.answer()
        assert answer.body == b"abc" and answer.complete
        assert client.closed()


def test_many_clients_at_once(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    clients = [server.connect() for _ in range(100)]
    for round_number in range(3):
        for number, client in enumerate(clients):
            extra = "&ms=10" if number % 2 else ""
            client.request(target=f"/number?n={number}{round_number}{extra}")
        for number, client in reversed(list(enumerate(clients))):
            assert client.answer().body == f"{number}{round_number}".encode()
    for client in clients:
        client.close()


def test_idle_connection_is_closed_in_time(shared: Serve, library: str) -> None:
    with shared(APP, library, "--timeout-keep-alive", "0.3").connect() as client:
        assert client.ask(target="/hello").status == 200
        began = time.monotonic()
        assert client.closed()
        assert 0.2 < time.monotonic() - began < TIMEOUT / 3


def test_slow_application_outlives_the_keep_alive_time(shared: Serve, library: str) -> None:
    with shared(APP, library, "--timeout-keep-alive", "0.3").connect() as client:
        assert client.ask(target="/number?n=1&ms=600").body == b"1"
        assert in_order(client)
