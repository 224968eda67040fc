"""What is particular to the parsers that are written in Python: what h11 and httptools read otherwise than C does."""

from __future__ import annotations

import time

import pytest
from harness import Serve, Server, parser

APP = "wire:app"
NONE_TOO = True
HOST = b"Host: a\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\n"

only_h11 = pytest.mark.skipif(parser != "h11", reason="it is h11 that does so")
only_httptools = pytest.mark.skipif(parser != "httptools", reason="it is httptools that does so")
not_in_c = pytest.mark.skipif(parser == "tricorn", reason="the parser in C is exact")


def status(server: Server, data: bytes) -> int:
    """Return what these bytes are answered."""
    with server.connect() as client:
        client.send(data)
        return client.answer().status


@only_h11
def test_h11_answers_501_to_an_unknown_coding(shared: Serve, library: str) -> None:
    head = b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    assert status(shared(APP, library), head) == 501


@only_h11
def test_h11_joins_a_folded_line(shared: Serve, library: str) -> None:
    server = shared("statements:app", library)
    with server.connect() as client:
        client.send(b"GET /scope HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n")
        fields = client.answer().json()["headers"]
        assert [{"bytes": "a"}, {"bytes": "b c"}] in fields


@only_h11
@pytest.mark.parametrize(
    "lines", [b"Content-Length: 2, 2\r\n", b"Content-Length: 2\r\nContent-Length: 2\r\n"]
)
def test_h11_takes_a_repeated_length(shared: Serve, library: str, lines: bytes) -> None:
    with shared(APP, library).connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\n" + HOST + lines + b"\r\nab")
        assert client.answer().body == b"ab"


@only_h11
def test_h11_takes_a_bare_lf(shared: Serve, library: str) -> None:
    assert status(shared(APP, library), b"GET /hello HTTP/1.1\n" + HOST + END) == 200


@only_h11
def test_h11_takes_sizes_of_20_digits(shared: Serve, library: str) -> None:
    """So long a chunk is never there, and the limit of the body holds as it comes."""
    server = shared(APP, library, "--limit-request-body", "1000")
    assert status(server, POST + b"1" + b"0" * 19 + b"\r\n" + b"a" * 1001) == 413


@only_httptools
def test_httptools_takes_a_line_without_a_version(shared: Serve, library: str) -> None:
    assert status(shared(APP, library), b"GET /bad\r\n\r\n") == 505


@only_httptools
def test_httptools_takes_several_spaces(shared: Serve, library: str) -> None:
    assert status(shared(APP, library), b"GET  /hello HTTP/1.1\r\n" + HOST + END) == 200


@only_httptools
@pytest.mark.parametrize("line", [b"GET /hello HTTP/9.9", b"MAGIC /hello HTTP/1.1", b"get /hello HTTP/1.1"])
def test_httptools_knows_no_other_versions_and_methods(shared: Serve, library: str, line: bytes) -> None:
    assert status(shared(APP, library), line + b"\r\n" + HOST + END) == 400


@not_in_c
def test_extensions_of_chunks_are_bounded(shared: Serve, library: str) -> None:
    """Not to the byte, and together with trailers: whatever is no data is refused in time."""
    server = shared(APP, library, "--limit-trailers", "50", "--limit-chunk-extensions", "50")
    with server.connect() as client:
        client.send(POST)
        assert server.ask(target="/hello").status == 200  # the head has been read by then
        client.send(b"1;" + b"a" * 5000)
        assert client.answer().status == 400 and client.closed()


@not_in_c
def test_413_with_the_data_of_a_chunked_body(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--limit-request-body", "1000")
    with server.connect() as client:
        client.send(POST + (b"64\r\n" + b"a" * 100 + END) * 10 + b"1\r\na\r\n")
        assert client.answer().status == 413 and client.closed()


@not_in_c
def test_requests_behind_an_upgrade_are_read(shared: Serve, library: str) -> None:
    """An upgrade that is not taken up leaves the connection as it was (RFC 9110 §7.8)."""
    head = b"GET /number?n=%d HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: other\r\n\r\n"
    with shared(APP, library).connect() as client:
        client.send(head % 1 + head % 2 + head % 3)
        assert [client.answer().body for _ in range(3)] == [b"1", b"2", b"3"]


@not_in_c
def test_many_upgrades_at_once(shared: Serve, library: str) -> None:
    head = b"GET /number?n=%d HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: other\r\n\r\n"
    with shared(APP, library).connect() as client:
        client.send(b"".join(head % n for n in range(2000)))
        assert [client.answer().body for _ in range(2000)] == [b"%d" % n for n in range(2000)]


@not_in_c
@pytest.mark.parametrize("piece", [1, 1000])
@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n"],
)
def test_body_of_a_request_for_an_upgrade(shared: Serve, library: str, body: bytes, piece: int) -> None:
    """It is that request's, and never the next request."""
    upgrade = b"POST /echo HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: other\r\n" + body
    requests = upgrade * 2 + b"GET /number?n=3 HTTP/1.1\r\n" + HOST + b"\r\n"
    with shared(APP, library).connect() as client:
        for at in range(0, len(requests), piece):
            client.send(requests[at : at + piece])
        assert [client.answer().body for _ in range(3)] == [b"abc", b"abc", b"3"]


@not_in_c
def test_tiny_chunks_are_read_in_time(shared: Serve, library: str) -> None:
    """What it costs to read a body grows with its length, however it is cut."""
    begun = time.monotonic()
    with shared(APP, library).connect() as client:
        client.send(POST + b"1\r\na\r\n" * 60000 + b"0\r\n\r\n")
        assert client.answer().body == b"a" * 60000
    assert time.monotonic() - begun < 4
