"""Damaged requests: whatever comes, each answer is well-formed, the connection ends, and the server goes on."""

from __future__ import annotations

import re

import pytest
from harness import Client, Serve
from hypothesis import example, given, settings
from hypothesis import strategies as st

APP = "wire:app"
NONE_TOO = True
HOST = b"Host: a\r\n"
REQUESTS = (
    b"GET /number?n=5 HTTP/1.1\r\n" + HOST + b"Accept: */*\r\n\r\n",
    b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nabcde",
    b"POST /echo HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: t\r\n\r\n",
    b"POST /ignore HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"GET http://a:80/hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
)
ODD = [
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\x80",
    b"\xff",
    b"0",
    b"-",
    b"\r\n",
    b"\r\n\r\n",
    HOST,
]

# Where, how many bytes are taken away, and what is put there.
Damage = tuple[int, int, bytes]
damages = st.tuples(
    st.integers(0, 2000), st.integers(0, 3), st.one_of(st.sampled_from(ODD), st.binary(max_size=4))
)


def damaged(data: bytes, wounds: list[Damage]) -> bytes:
    """Return the bytes with some replaced."""
    for at, length, put in wounds:
        at %= len(data) + 1
        data = data[:at] + put + data[at + length :]
    return data


def answers(client: Client) -> list[int]:
    """Read answers until the server closes; each must be well-formed."""
    found = []
    while not client.over():
        answer = client.answer()
        found.append(answer.status)
        if answer.framing == "close" or not answer.complete:
            assert client.closed()
    return found


@settings(max_examples=150)
@example(kinds=[0, 1], wounds=[])
@given(
    kinds=st.lists(st.sampled_from(range(len(REQUESTS))), min_size=1, max_size=4),
    wounds=st.lists(damages, max_size=3),
)
def test_damaged_requests(shared: Serve, library: str, kinds: list[int], wounds: list[Damage]) -> None:
    """No answer is broken, and nothing is answered after a refusal."""
    server = shared(APP, library, "--timeout-linger", "0.1")
    data = damaged(b"".join(REQUESTS[kind] for kind in kinds), wounds)
    with server.connect() as client:
        client.send(data)
        client.socket.shutdown(1)
        found = [status for status in answers(client) if status != 100]
    refused = [
        number for number, status in enumerate(found) if status in {400, 408, 413, 414, 417, 431, 501, 505}
    ]
    assert refused in ([], [len(found) - 1]), found
    if not wounds:
        assert found == [200] * len(kinds)


@pytest.mark.parametrize("kind", range(len(REQUESTS)))
def test_request_cut_off(shared: Serve, library: str, kind: int) -> None:
    """The client goes after every single byte."""
    server = shared(APP, library)
    request = REQUESTS[kind]
    for end in range(len(request)):
        with server.connect() as client:
            client.send(request[:end])
            client.socket.shutdown(1)
            assert set(answers(client)) <= {100, 200, 400}
    assert server.ask(target="/hello").status == 200


WHOLE = re.compile(rb"(\r\n)*[!-~]+ [!-~]+ HTTP/1\.[01]\r\n([!-~]+:[^\r\n]*\r\n)*\r\n")
"""A request, which noise may come to be: the application has no such page."""


@settings(max_examples=50)
@given(data=st.binary(min_size=1, max_size=300))
def test_noise(shared: Serve, library: str, data: bytes) -> None:
    with shared(APP, library).connect() as client:
        client.send(data)
        client.socket.shutdown(1)
        found = answers(client)
        assert found in ([], [400], [505], [501]) or (found == [404] and WHOLE.match(data)), found
