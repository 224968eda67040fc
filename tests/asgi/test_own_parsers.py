"""Parsers from outside: the example's, and such as break the contract. None of them harms the server."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from harness import APPS, Serve, parser, until
from parsers import DIFFERENCES

pytestmark = pytest.mark.skipif(parser != "tricorn", reason="these tests name their parsers themselves")

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SEEN = {"PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(APPS), os.environ.get("PYTHONPATH", "")])}
"""Where servers find the modules of the examples and of the tests, beside what is tested."""
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

FAULTS = {
    "FailsToBeMade": "ValueError: odd",
    "FailsToRecv": "ValueError: odd",
    "FailsToTell": "ValueError: odd",
    "FailsToSayAhead": "ValueError: odd",
    "TakesTooMuch": "took 28 of 27 bytes",
    "TakesText": "TypeError",
    "GivesText": "gave str, which is no event",
    "GivesTextInAHead": "method of an event is str, not bytes",
    "GivesNoPairs": "pairs of bytes",
    "GivesNoFields": "TypeError",
    "GivesTextAsBody": "data of an event is str, not bytes",
    "GivesAnEndAlone": "end without a head",
    "RefusesOddly": "refused with the status 200",
    "RefusesInWords": "TypeError",
    "HasNoMethods": "AttributeError",
    "GivesNoStatus": "which is no event",
    "IsAheadOddly": "LookupError: odd",
}
"""Classes that break the contract, and what the log says."""

REFUSED = {
    "Refuses": 418,
    "SplitsAHead": 400,
    "GivesLongBody": 400,
    "GivesShortBody": 400,
    "GivesAHeadInABody": 500,
    "GivesBodyForNone": 400,
}
"""Classes whose requests are no requests, and the answer."""


@pytest.mark.in_turn
@pytest.mark.parametrize("name", FAULTS)
def test_parser_that_fails_is_logged_and_answered(own: Serve, library: str, name: str) -> None:
    server = own("odd_parsers:app", library, "--http", f"odd_parsers:{name}")
    for _ in range(3):
        with server.connect() as client:
            client.send(REQUEST)
            assert client.answer().status == 500 and client.closed()
    assert server.stop() == 0
    assert server.log().count("Exception in the HTTP parser") == 3 and FAULTS[name] in server.log()


@pytest.mark.in_turn
@pytest.mark.parametrize("name", REFUSED)
def test_what_a_parser_read_is_checked_again(own: Serve, library: str, name: str) -> None:
    server = own("odd_parsers:app", library, "--http", f"odd_parsers:{name}")
    with server.connect() as client:
        client.send(REQUEST)
        assert client.answer().status == REFUSED[name] and client.closed()
    assert server.stop() == 0 and "Exception in the HTTP parser" not in server.log()


@pytest.mark.in_turn
@pytest.mark.parametrize(
    "name", ["WritesText", "FailsToWrite", "FailsToBegin", "FailsToContinue", "SendsTextToContinue"]
)
def test_writer_that_fails_closes_its_connection(own: Serve, library: str, name: str) -> None:
    server = own("odd_parsers:app", library, "--http", f"odd_parsers:{name}")
    with server.connect() as client:
        client.send(REQUEST)
        assert client.closed()
    until(lambda: "Exception in the HTTP parser" in server.log(), "the log")
    assert server.stop() == 0


def test_parser_that_takes_nothing_is_left_with_its_client(own: Serve, library: str) -> None:
    server = own("odd_parsers:app", library, "--http", "odd_parsers:TakesNothing")
    with server.connect() as client:
        client.send(REQUEST)
        assert client.quiet()
        client.send(REQUEST)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.closed()
    assert server.stop() == 0


def test_fair_parser_serves_on(own: Serve, library: str) -> None:
    server = own("odd_parsers:app", library, "--http", "odd_parsers:Fair")
    with server.connect() as client:
        for _ in range(3):
            client.send(REQUEST)
            assert client.answer().body == b"hello "
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere:Parser", "there is no module 'nowhere'"),
        ("odd_parsers:Nobody", "has no attribute 'Nobody'"),
        ("odd_parsers:HEAD", "which makes no parser"),
    ],
)
def test_parser_that_is_not_to_be_had(own: Serve, name: str, problem: str) -> None:
    server = own("odd_parsers:app", "asyncio", "--http", name, ready=False)
    assert server.wait() == 3 and problem in server.log() and "Traceback" not in server.log()


def test_writer_continues(own: Serve, library: str) -> None:
    server = own("odd_parsers:app", library, "--http", "odd_parsers:Continues")
    with server.connect() as client:
        client.send(REQUEST)
        assert client.until(b"\n") == b"go on\n"
        client.send(b"more")
        assert client.exactly(17) == b"200 0\nhello ab 1\n"
    assert server.stop() == 0


def test_interrupt_within_a_parser_stops_the_server(own: Serve, library: str) -> None:
    server = own("odd_parsers:app", library, "--http", "odd_parsers:IsInterrupted")
    with server.connect() as client:
        client.send(REQUEST)
        assert client.answer().status == 500
    assert server.wait() == 0 and "Exception in the HTTP parser" not in server.log()


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("path", "status", "fields"),
    [
        ("/server", b"200", [b"server: first", b"server: second", b"X-A: b"]),
        ("/dated", b"200", [b"Date: today", b"server: tricorn", b"X-A: b"]),
        ("/fails-late", b"500", [b"server: tricorn", b"X-A: b"]),
    ],
)
def test_writer_is_told_all_fields(
    own: Serve, library: str, path: str, status: bytes, fields: list[bytes]
) -> None:
    environment = SEEN
    options = ("--http", "scgi:SCGI", "--header", "X-A:b")
    server = own("origin:app", library, *options, environment=environment)
    with server.connect() as client:
        client.send(scgi({"SCGI": "1", "REQUEST_METHOD": "GET", "REQUEST_URI": path}))
        head = client.rest().partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"status: " + status
    assert [line for line in head if line in fields] == fields
    assert sum(line.lower().startswith(b"date:") for line in head) == 1
    assert server.stop() == 0


def test_every_difference_is_documented() -> None:
    page = (EXAMPLES.parent / "docs" / "parsers.md").read_text()
    told = set(re.findall(r"^\| (h11|httptools|h11, httptools) \| (.*) \|$", page, re.MULTILINE))
    meant: dict[str, list[str]] = {}
    for name, differences in DIFFERENCES.items():
        for what in differences.values():
            meant.setdefault(what, []).append(name)
    assert told == {(", ".join(names), what) for what, names in meant.items()}


def scgi(head: dict[str, str], body: bytes = b"") -> bytes:
    """Return a request in SCGI."""
    text = "".join(f"{name}\0{value}\0" for name, value in head.items()).encode()
    return b"%d:%s," % (len(text), text) + body


def test_example_speaks_scgi(own: Serve, library: str) -> None:
    """The seam's writing half: no line of HTTP/1.1 is in this answer."""
    path = SEEN
    server = own("wire:app", library, "--http", "scgi:SCGI", environment=path)
    request = scgi(
        {
            "CONTENT_LENGTH": "300000", "SCGI": "1", "REQUEST_METHOD": "POST", "REQUEST_URI": "/echo?a=b",
            "HTTP_X_A": "b",
        },
        b"a" * 300000,
    )  # fmt: skip
    for cut in (1, 5, 40, len(request)):
        with server.connect() as client:
            client.send(request[:cut])
            client.send(request[cut:])
            head, _, body = client.rest().partition(b"\r\n\r\n")
            assert head.startswith(b"status: 200\r\n") and body == b"a" * 300000
            assert b"connection" not in head and b"\r\nserver: tricorn" in head
    odd = scgi({"CONTENT_LENGTH": "a", "REQUEST_METHOD": "GET", "REQUEST_URI": "/hello"})
    for bad, status in (
        (b"x", b"400"), (b"99999999:", b"400"), (b"9" * 5000, b"400"), (scgi({"SCGI": "1"}), b"400"), (odd, b"400")
    ):  # fmt: skip
        with server.connect() as client:
            client.send(bad)
            assert client.rest().startswith(b"status: " + status)
    with server.connect() as client:
        client.send(scgi({"SCGI": "1", "REQUEST_METHOD": "HEAD", "REQUEST_URI": "/hello"}))
        assert client.rest().endswith(b"\r\n\r\n")
    client_said = {
        "HTTP_CONNECTION": "keep-alive",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "HTTP_CONTENT_LENGTH": "7",
    }
    with server.connect() as client:
        client.send(
            scgi(
                {"CONTENT_LENGTH": "2", "REQUEST_METHOD": "POST", "REQUEST_URI": "/echo", **client_said},
                b"ab",
            )
        )
        assert client.rest().endswith(b"\r\n\r\nab")
    assert server.stop() == 0 and "Traceback" not in server.log()
