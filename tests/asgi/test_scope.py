"""The scope of a request: statements H2 to H11."""

from __future__ import annotations

from typing import Any

import pytest
from harness import Serve

APP = "statements:app"
NONE_TOO = True


def named(scope: dict[str, Any], name: str) -> list[str]:
    """Return the values of a field in a scope told as JSON."""
    return [value["bytes"] for key, value in scope["headers"] if key["bytes"] == name]


@pytest.mark.parametrize(
    ("line", "version", "method"),
    [
        ("GET /scope HTTP/1.1", "1.1", "GET"),
        ("GET /scope HTTP/1.0", "1.0", "GET"),
        ("M-SEARCH /scope HTTP/1.1", "1.1", "M-SEARCH"),
        ("get /scope HTTP/1.1", "1.1", "GET"),
        ("pROPFIND /scope HTTP/1.1", "1.1", "PROPFIND"),
    ],
)
def test_H2_version_and_method(shared: Serve, library: str, line: str, version: str, method: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(f"{line}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        scope = client.answer().json()
    assert (scope["http_version"], scope["method"]) == (version, method)


def test_H3_scheme_is_http(shared: Serve, library: str) -> None:
    assert shared(APP, library).get("/scope")["scheme"] == "http"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b", "/a/b", ""),
        ("/a?b=c&d", "/a", "b=c&d"),
        ("/a?", "/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/%C3%A9t%C3%A9", "/été", ""),
        ("/%c3%a9", "/é", ""),
        ("/%F0%9F%A6%8F", "/🦏", ""),
        ("/a%20b", "/a b", ""),
        ("/a%2Fb", "/a/b", ""),
        ("/a%3Fb?c=%3F", "/a?b", "c=%3F"),
        ("/a%25b", "/a%b", ""),
        ("/a+b?c+d", "/a+b", "c+d"),
        ("/a;b=c", "/a;b=c", ""),
        ("//double", "//double", ""),
        ("/a/../b/./c", "/a/../b/./c", ""),
        ("/%FF", "/\ufffd", ""),
        ("/a%00b", "/a\0b", ""),
        ("/a?%C3%A9", "/a", "%C3%A9"),
    ],
)
def test_H4_H5_H6_path_raw_path_and_query(
    shared: Serve, library: str, target: str, path: str, query: str
) -> None:
    scope = shared(APP, library).get(target)
    assert scope["path"] == path
    assert scope["raw_path"] == {"bytes": target.partition("?")[0]}
    assert scope["query_string"] == {"bytes": query}


def test_H4_absolute_form_gives_its_path_and_host(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(b"GET http://abs.example:81/a%20b?c HTTP/1.1\r\nHost: other.example\r\n\r\n")
        scope = client.answer().json()
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
        "/a b",
        {"bytes": "/a%20b"},
        {"bytes": "c"},
    )
    # RFC 9112 §3.2.2: the received Host is replaced.
    assert named(scope, "host") == ["abs.example:81"]


def test_H4_asterisk_form(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        scope = client.answer().json()
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("OPTIONS", "*", {"bytes": "*"})


def test_H7_root_path_is_not_in_front_of_the_asterisk(shared: Serve, library: str) -> None:
    """OPTIONS * asks of the whole server."""
    with shared(APP, library, "--root-path", "/api/v1").connect() as client:
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer().json()["path"] == "*"


@pytest.mark.parametrize("options", [(), ("--root-path", "/api/v1")])
def test_H7_root_path_stands_in_front_of_the_path(
    shared: Serve, library: str, options: tuple[str, ...]
) -> None:
    root = options[1] if options else ""
    scope = shared(APP, library, *options).get("/a%20b?c")
    assert scope["root_path"] == root
    assert scope["path"] == root + "/a b"
    assert scope["raw_path"] == {"bytes": root + "/a%20b"}


def test_H8_fields_keep_order_and_duplicates_in_lower_case(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(
            b"GET /scope HTTP/1.1\r\nX-B: 1\r\nHOST: a\r\nx-a:  two words \t\r\nX-B: 2\r\nCookie: a=1\r\n"
            b"Cookie: b=2\r\nX-Empty:\r\nX-Latin: caf\xe9\r\nX-B: 1\r\n\r\n"
        )
        scope = client.answer().json()
    assert [(key["bytes"], value["bytes"]) for key, value in scope["headers"]] == [
        ("x-b", "1"),
        ("host", "a"),
        ("x-a", "two words"),
        ("x-b", "2"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-empty", ""),
        ("x-latin", "café"),
        ("x-b", "1"),
    ]


def test_H8_fields_are_pairs_of_bytes_in_a_list(shared: Serve, library: str) -> None:
    types = shared(APP, library).get("/types")
    assert types["headers"] == "list"
    assert types["a field"] == ["bytes"] and types["the fields' lengths"] == [2]


def test_H9_client_and_server_with_int_ports(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        host, port = client.socket.getsockname()
        scope = client.ask(target="/scope").json()
    assert scope["client"] == [host, port]
    assert scope["server"] == ["127.0.0.1", server.port]
    types = server.get("/types")
    assert types["the client's port"] == types["the server's port"] == "int"


def test_H10_no_state_without_lifespan(shared: Serve, library: str) -> None:
    assert "state" not in shared(APP, library).get("/scope")


def test_H11_request_is_unchunked_and_answer_is_framed(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"3;ext=1\r\nabc\r\n0010\r\n" + b"d" * 16 + b"\r\n0\r\nX-Trailer: 1\r\n\r\n")
        answer = client.answer()
        assert answer.body == b"abc" + b"d" * 16
        answer = client.ask(target="/pieces")
        assert answer.framing == "chunked" and b"" not in answer.chunks


@pytest.mark.parametrize("coding", ["chunked", "gzip", "identity"])
@pytest.mark.parametrize("length", ["", "&length=4"])
def test_H11_transfer_encoding_of_the_application_is_ignored(
    shared: Serve, library: str, coding: str, length: str
) -> None:
    with shared(APP, library).connect() as client:
        answer = client.ask(target=f"/own_framing?coding={coding}{length}")
        assert answer.body == b"body" and answer.get("x-kept") == "1"
        assert answer.framing == "length" or (answer.framing == "chunked" and not length)
        assert client.ask("POST", "/echo", b"next").body == b"next"
