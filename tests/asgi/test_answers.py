"""Answers at the edges of what an application may send: framing fields, names in any case, odd bodies."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from harness import Answer, Client, Serve

APP = "flows:app"
NONE_TOO = True
LEAN = ("--no-date-header", "--no-server-header")


def told(client: Client, method: str = "GET", /, **answer: Any) -> Answer:
    """Ask for an answer that the application gives as it is told here."""
    whole = {"status": 200, "fields": [], "pieces": ["body"], **answer}
    return client.ask(method, f"/told?answer={quote(json.dumps(whole))}")


def in_order(client: Client) -> bool:
    """Tell whether the connection can be used further."""
    return client.ask("POST", "/echo", b"in order").body == b"in order"


@pytest.mark.parametrize("name", ["content-length", "Content-Length", "CONTENT-LENGTH"])
def test_R6_length_frames_the_body_whatever_its_case(shared: Serve, library: str, name: str) -> None:
    with shared(APP, library, *LEAN).connect() as client:
        answer = told(client, fields=[[name, "8"]], pieces=["body", "body"])
        assert (answer.framing, answer.body, answer.fields) == ("length", b"bodybody", [(name, "8")])
        assert in_order(client)


def test_fields_keep_the_case_and_the_order_of_the_application(shared: Serve, library: str) -> None:
    fields = [
        ["X-Zed", "1"],
        ["x-a", "two words"],
        ["SET-COOKIE", "a=1"],
        ["Set-Cookie", "b=2"],
        ["X-L", "caf\xe9"],
    ]
    with shared(APP, library, *LEAN).connect() as client:
        answer = told(client, fields=[*fields, ["Content-Length", "4"]])
    assert [list(pair) for pair in answer.fields[:5]] == fields


@pytest.mark.parametrize("pieces", [[""], ["", ""], ["abc", "de", ""], ["abcde"]])
@pytest.mark.parametrize("length", ["5", "1000000"])
def test_head_may_tell_the_length_of_a_body_it_does_not_have(
    shared: Serve, library: str, length: str, pieces: list[str]
) -> None:
    """RFC 9110 §9.3.2: frameworks answer HEAD with the length of GET and an empty body, or with the body of GET."""
    with shared(APP, library, *LEAN).connect() as client:
        answer = told(client, "HEAD", fields=[["content-length", length]], pieces=pieces)
        assert answer.status == 200 and answer.get("content-length") == length
        assert in_order(client)


def test_not_modified_may_tell_the_length_of_what_was_not_sent(shared: Serve, library: str) -> None:
    with shared(APP, library, *LEAN).connect() as client:
        answer = told(client, status=304, fields=[["content-length", "1000"], ["etag", '"1"']], pieces=[""])
        assert answer.status == 304 and answer.get("etag") == '"1"'
        assert answer.get("content-length") in {"1000", None} and answer.get("transfer-encoding") is None
        assert in_order(client)


@pytest.mark.parametrize("length", ["0", "4"])
def test_no_content_has_neither_length_nor_body(shared: Serve, library: str, length: str) -> None:
    """RFC 9110 §8.6: no Content-Length with 204, though frameworks send one of 0."""
    with shared(APP, library, *LEAN).connect() as client:
        answer = told(client, status=204, fields=[["content-length", length]], pieces=["body"[: int(length)]])
        if answer.status == 204:
            assert answer.fields == []
            assert in_order(client)
        else:
            assert (answer.status, length) == (500, "4") and client.closed()


@pytest.mark.parametrize("name", ["connection", "Connection"])
@pytest.mark.parametrize("value", ["close", "Close", "x, close"])
def test_connection_close_of_the_application(shared: Serve, library: str, name: str, value: str) -> None:
    with shared(APP, library, *LEAN).connect() as client:
        answer = told(client, fields=[[name, value]])
        assert "close" in (answer.get("connection") or "").lower() and answer.body == b"body"
        assert client.closed()


def test_keep_alive_of_the_application_does_not_outvote_the_client(shared: Serve, library: str) -> None:
    with shared(APP, library, *LEAN).connect() as client:
        whole = {"status": 200, "fields": [["connection", "keep-alive"]], "pieces": ["body"]}
        answer = client.ask(
            "GET", f"/told?answer={quote(json.dumps(whole))}", fields=[("Connection", "close")]
        )
        assert answer.body == b"body" and "close" in answer.all("connection")
        assert client.closed()


@pytest.mark.parametrize(("name", "value"), [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("SERVER", "mine")])
def test_date_and_server_of_the_application_stand_alone(
    shared: Serve, library: str, name: str, value: str
) -> None:
    with shared(APP, library).connect() as client:
        assert told(client, fields=[[name, value]]).get(name.lower()) == value


@pytest.mark.parametrize("number", [31, 32, 33, 1000])
def test_many_fields(shared: Serve, library: str, number: int) -> None:
    with shared(APP, library, *LEAN, "--limit-request-line", "100000").connect() as client:
        fields = [[f"x-{n}", str(n)] for n in range(number)]
        answer = told(client, fields=[*fields, ["content-length", "4"]])
        assert [list(pair) for pair in answer.fields[:number]] == fields
        assert in_order(client)


def test_long_fields(shared: Serve, library: str) -> None:
    with shared(APP, library, *LEAN, "--limit-request-line", "100000").connect() as client:
        answer = told(client, fields=[["x-long", "a" * 40_000], ["x-longer", "b" * 20_000]])
        assert (answer.get("x-long"), answer.get("x-longer")) == ("a" * 40_000, "b" * 20_000)
        assert in_order(client)


@pytest.mark.parametrize(
    "kind",
    ["bytes", "subclass", "bytearray", "view", "array", "view-of-array", "map", "every-second"],
)
def test_F4_body_in_whatever_holds_bytes(shared: Serve, library: str, kind: str) -> None:
    """A view with gaps may be refused, and then nothing of it was sent."""
    with shared(APP, library).connect() as client:
        answer = client.ask(target=f"/body_kinds?kind={kind}")
        assert answer.body == (b"none" if kind == "every-second" else b"abcd")
        assert in_order(client)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 255, 256, 4095, 4096, 4097, 65_535, 65_536, 1_000_000])
def test_R6_chunks_of_every_size(shared: Serve, library: str, size: int) -> None:
    with shared(APP, library).connect() as client:
        answer = told(client, pieces=["a", "", "b", "c"], times=size)
        assert answer.body == b"a" * size + b"b" * size + b"c" * size
        assert in_order(client)


@pytest.mark.parametrize("status", [200, 299, 400, 418, 451, 599, 600, 999])
def test_R3_any_final_status(shared: Serve, library: str, status: int) -> None:
    with shared(APP, library).connect() as client:
        answer = told(client, status=status)
        assert (answer.status, answer.body) == (status, b"body")
        assert in_order(client)


@pytest.mark.parametrize("fields", [[["content-length", "4"]], []], ids=["length", "chunked"])
def test_return_without_the_last_message_is_told(
    shared: Serve, library: str, fields: list[list[str]]
) -> None:
    """All the bytes may be there, but the application never said so."""
    server = shared(APP, library)
    with server.connect() as client:
        answer = told(client, fields=fields, open=True)
        assert answer.body == b"body" and (answer.complete or not fields)
        assert client.closed()
    assert "ASGI callable returned without completing response" in server.log()


@pytest.mark.parametrize("value", [" a", "a ", "\ta", "a\t"])
def test_space_around_a_value_is_not_sent_on_or_refused(shared: Serve, library: str, value: str) -> None:
    """RFC 9110 §5.5: it is no part of the value."""
    with shared(APP, library).connect() as client:
        answer = told(client, fields=[["x-a", value]])
        assert answer.status == 500 or (answer.get("x-a") or "").strip(" \t") == "a"


def test_old_client_gets_no_chunks_and_the_end_as_the_end(shared: Serve, library: str) -> None:
    whole = {"status": 200, "fields": [["transfer-encoding", "chunked"]], "pieces": ["a", "b", "c"]}
    with shared(APP, library).connect() as client:
        target = f"/told?answer={quote(json.dumps(whole))}"
        client.send(f"GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
        answer = client.answer()
        assert answer.framing == "close" and answer.body == b"abc"
        assert answer.get("connection") == "close"
