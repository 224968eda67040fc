"""The messages of an exchange: statements R1 to R9, and what frameworks depend on: F1 to F5."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Client, Serve, Server, until

APP = "statements:app"


def noted(server: Server, note: Any) -> None:
    """Wait until the application has noted something."""
    until(lambda: note in server.get("/noted"), f"the note {note}")


def test_R1_request_without_body(shared: Serve, library: str) -> None:
    found = shared(APP, library).ask(target="/messages").json()
    assert found == [{"type": "http.request", "body": {"bytes": ""}, "more_body": False}]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_R1_pieces_of_a_body_come_as_they_arrive(shared: Serve, library: str, chunked: bool) -> None:
    with shared(APP, library).connect() as client:
        framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 9"
        client.send(f"POST /both_at_once HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        for piece in (b"abc", b"def", b"ghi"):
            client.send(b"3\r\n" + piece + b"\r\n" if chunked else piece)
            if piece == b"abc":
                assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            assert client.exactly(8) == b"3\r\n" + piece + b"\r\n"
        if chunked:
            client.send(b"0\r\n\r\n")
        assert client.exactly(5) == b"0\r\n\r\n"
        assert client.ask("POST", "/echo", b"next").body == b"next"


def test_R1_application_is_not_started_by_a_connection(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    before = len(server.get("/seen"))
    with server.connect() as client:
        client.send(b"GET /scope HTTP/1.1\r\nHost: a\r\n")
        assert server.get("/seen")[before:] == ["/seen"]
        client.send(b"\r\n")
        assert client.answer().status == 200


def test_R1_application_does_not_wait_for_the_body(shared: Serve, library: str) -> None:
    """It can answer before the body is there."""
    with shared(APP, library).connect() as client:
        client.send(b"POST /status?code=202 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        assert client.answer().status == 202


def test_R2_disconnect_after_the_answer_again_and_again(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        assert client.ask(target="/disconnect_after_end").body == b"complete"
        assert client.ask(target="/status?code=200").status == 200
    noted(server, ["after the end", ["http.disconnect"] * 3])


@pytest.mark.parametrize("end", ["close", "reset"])
def test_R2_R8_R9_disconnect_when_the_client_goes(shared: Serve, library: str, end: str) -> None:
    server = shared(APP, library)
    client = server.connect()
    client.request("POST", f"/disconnect?token={end}", b"body")
    noted(server, [end, "waits"])
    getattr(client, end)()
    noted(server, [end, ["http.disconnect"] * 3, True])


def test_R3_status_and_fields_in_their_order(shared: Serve, library: str) -> None:
    answer = shared(APP, library, "--no-date-header", "--no-server-header").ask(
        target="/status?code=299&body=b"
    )
    assert (answer.status, answer.body) == (299, b"b")
    names = [name for name, _ in answer.fields if name.startswith("x-")]
    assert names == ["x-order", "x-order", "x-last"]
    assert answer.all("x-order") == ["1", "2"] and answer.get("x-last") == ""


def test_R4_start_goes_out_when_the_application_waits(shared: Serve, library: str) -> None:
    """Up to then a failure can still be told by a 500 (G6); from then on only by the end of the connection."""
    server = shared(APP, library)
    with server.connect() as client:
        client.request(target="/head_alone?token=head")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert client.quiet(0.05)
        server.ask(target="/release?token=head")
        assert client.closed()


def test_R5_body_is_on_its_way_when_send_returns(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        client.request(target="/first_piece?token=piece")
        client.until(b"\r\n\r\n")
        assert client.exactly(10) == b"5\r\nfirst\r\n"
        assert client.quiet(0.05)
        server.ask(target="/release?token=piece")
        assert client.exactly(16) == b"6\r\nsecond\r\n0\r\n\r\n"


def test_R6_chunked_without_a_length(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/pieces")
    assert answer.framing == "chunked"
    assert answer.body == b"bytes,bytearray,memoryview,last"


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("length=3&body=abcd", b""),
        ("length=3&body=ab", b""),
        ("length=0&body=a", b""),
        ("length=3&body=", b""),
        ("length=3&first=ab&body=cd", b"ab"),
        ("length=3&first=a&body=b", b"a"),
    ],
)
def test_R6_body_must_be_as_long_as_was_said(shared: Serve, library: str, query: str, sent: bytes) -> None:
    server = shared(APP, library)
    token = query.replace("=", "-").replace("&", "-")
    with server.connect() as client:
        answer = client.ask(target=f"/wrong_length?token={token}&{query}")
        if sent:
            assert not answer.complete and answer.body == sent
        else:
            assert answer.status == 500 and answer.complete
        assert client.closed()
    noted(server, [token, "RuntimeError"])


@pytest.mark.parametrize("page", ["/send_until_lost", "/disconnect"])
def test_R8_send_raises_an_oserror_that_is_not_logged(own: Serve, library: str, page: str) -> None:
    server = own(APP, library)
    client = server.connect()
    client.request(target=f"{page}?token=gone&then=raise")
    noted(server, ["gone", "sends" if page == "/send_until_lost" else "waits"])
    client.reset()
    until(lambda: len([note for note in server.get("/noted") if note[0] == "gone"]) == 2, "send() has raised")
    assert server.stop() == 0
    assert "ERROR" not in server.log() and "Traceback" not in server.log()


def test_F1_expired_scope_gets_what_is_there_and_does_not_wait(shared: Serve, library: str) -> None:
    assert shared(APP, library).get("/expired_receive") == ["http.request", False, True]


def test_F2_cancelled_receive_is_a_cancellation(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        assert client.ask(target="/cancelled_receive").body == b"cancelled"
    noted(server, ["cancelled receive", "http.disconnect"])


def test_F3_every_concurrent_receive_gets_the_disconnect(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        client.request(target="/many_receives?token=many")
        client.until(b"\r\n\r\n")
        assert client.exactly(19) == b"e\r\nsent meanwhile\r\n"
    noted(server, ["many", ["http.disconnect"] * 3])


def test_F3_one_task_receives_while_another_sends(shared: Serve, library: str) -> None:
    body = bytes(range(256)) * 4000
    assert shared(APP, library).ask("POST", "/both_at_once", body).body == body


def test_F4_empty_piece_does_not_end_a_chunked_answer(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        assert client.ask(target="/pieces").body.endswith(b",last")
        assert client.ask(target="/pieces").complete


def test_F4_bytearray_is_sent_as_it_was(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target="/changed_bytearray")
    assert answer.body == b"a" * 3_000_000


def test_F5_fields_and_state_are_fresh(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        for _ in range(3):
            scope = client.ask(target="/tamper").json()
            assert "x-leak" not in str(scope["headers"]) and "leak" not in scope


def test_R5_messages_after_the_last_are_ignored(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        for _ in range(2):
            answer = client.ask(target="/after_the_end")
            assert answer.framing == "length" and answer.body == b"the answer"


def test_R7_trailers_that_were_not_offered_are_ignored(shared: Serve, library: str) -> None:
    """The extension is not among the scope's, so the answer ends with its last body."""
    with shared(APP, library).connect() as client:
        for _ in range(2):
            answer = client.ask(target="/trailers")
            assert answer.body == b"the answer" and answer.get("x-a") is None


def exchange_one(client: Client) -> None:
    """One exchange on a connection that must be in order."""
    assert client.ask("POST", "/echo", b"abc").body == b"abc"


@pytest.mark.parametrize("code", [204, 304])
def test_R3_status_without_a_body_has_no_framing(shared: Serve, library: str, code: int) -> None:
    with shared(APP, library).connect() as client:
        answer = client.ask(target=f"/status?code={code}")
        assert answer.get("content-length") is None or code == 304
        assert answer.get("transfer-encoding") is None
        exchange_one(client)


def test_R3_status_205_has_an_empty_body(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        assert client.ask(target="/status?code=205").body == b""
        exchange_one(client)
