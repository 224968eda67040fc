"""Floods of HTTP/2: each ends its connection, and others are answered meanwhile."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from harness import TIMEOUT, Serve, Server
from http2_client import ENHANCE_YOUR_CALM, connect

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_http2(), reason="HTTP/2 is not built in")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)
PRIORITY_UPDATE, UNKNOWN = 16, 99
END_STREAM, END_HEADERS = 1, 4
GET = b"\x82\x04\x06/hello\x86\x41\x01a"
POST = b"\x83\x04\x07/upload\x86\x41\x01a"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def get(stream: int) -> bytes:
    """Return the bytes of a request."""
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, GET)


def rapid_reset() -> Iterator[bytes]:
    """Requests that are given up at once."""
    for stream in range(1, 1 << 20, 2):
        yield get(stream) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")


def made_to_reset() -> Iterator[bytes]:
    """Requests that the server has to give up, as their windows overflow."""
    for stream in range(1, 1 << 20, 2):
        yield get(stream) + frame(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff")


def malformed() -> Iterator[bytes]:
    """Requests that the server has to give up, as they have no path."""
    for stream in range(1, 1 << 20, 2):
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x82\x86\x41\x01a")


def repeated(
    kind: int, flags: int, stream: int, payload: bytes, first: bytes = b""
) -> Callable[[], Iterator[bytes]]:
    """Return a flood of one frame, behind others."""

    def flood() -> Iterator[bytes]:
        yield first
        while True:
            yield frame(kind, flags, stream, payload)

    return flood


def bomb() -> Iterator[bytes]:
    """A large field of the dynamic table, ten thousand times in one head."""
    large = b"\x40\x01x\x7f\xc1\x16" + b"x" * 3008
    yield frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + large + b"\xbe" * 10_000)
    while True:
        yield frame(PING, 0, 0, bytes(8))


BEGUN = frame(HEADERS, END_HEADERS, 1, POST)
FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "rapid-reset": rapid_reset,
    "made-to-reset": made_to_reset,
    "malformed": malformed,
    "ping": repeated(PING, 0, 0, bytes(8)),
    "settings": repeated(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64"),
    "empty-data": repeated(DATA, 0, 1, b"", BEGUN),
    "small-data": repeated(DATA, 0, 1, b"x", BEGUN),
    "priority": repeated(PRIORITY, 0, 3, b"\0\0\0\0\x10"),
    "priority-update": repeated(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1"),
    "window-update": repeated(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01"),
    "unknown": repeated(UNKNOWN, 0, 0, b"grease"),
    "continuation": repeated(CONTINUATION, 0, 1, b"\x40\x01x\x01y", frame(HEADERS, 0, 1, GET)),
    "empty-continuation": repeated(CONTINUATION, 0, 1, b"", frame(HEADERS, 0, 1, GET)),
    "bomb": bomb,
}


@pytest.fixture
def server(shared: Serve, library: str) -> Server:
    """A server that speaks HTTP/2 without TLS, and gives tiny frames a budget that a test can use up at once."""
    return shared("wire:app", library, "--http2", "--h2-max-small-frames", "1000")


def drown(attacker: socket.socket, flood: Iterator[bytes], probe: Callable[[], None]) -> bytes:
    """Send a flood until the server ends the connection; returns what it has sent."""
    received = b""
    attacker.sendall(PREFACE + frame(SETTINGS, 0, 0))
    for _ in range(200):
        try:
            attacker.sendall(b"".join(next(flood) for _ in range(100)))
            attacker.settimeout(0.005)
            data = attacker.recv(1 << 16)
        except TimeoutError:
            data = None
        except OSError:
            break
        attacker.settimeout(TIMEOUT)
        if data == b"":
            break
        received += data or b""
        probe()
    else:
        raise AssertionError("the flood was let go on")
    return received


def rest_of(attacker: socket.socket) -> bytes:
    """Read on until the connection ends, in order or by a reset."""
    received = b""
    attacker.settimeout(TIMEOUT)
    try:
        while data := attacker.recv(1 << 16):
            received += data
    except OSError:
        pass
    return received


def goaways(received: bytes) -> list[int]:
    """Return the codes of the GOAWAY frames."""
    codes, at = [], 0
    while at + 9 <= len(received):
        size = int.from_bytes(received[at : at + 3], "big")
        if received[at + 3] == GOAWAY:
            codes.append(int.from_bytes(received[at + 13 : at + 17], "big"))
        at += 9 + size
    return codes


@pytest.mark.parametrize("name", FLOODS)
def test_flood_ends_its_connection(server: Server, name: str) -> None:
    """The attacker is told to be calm; a connection beside it is answered all the time."""
    with connect(server) as other:

        def probe() -> None:
            assert other.ask("GET", "/hello").body == b"Hello, world!"

        probe()
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as attacker:
            received = drown(attacker, FLOODS[name](), probe)
            received += rest_of(attacker)
        probe()
    assert goaways(received) == [ENHANCE_YOUR_CALM]


def test_flood_is_logged(own: Serve, library: str) -> None:
    """The log says what there was too much of."""
    server = own("wire:app", library, "--http2")
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as attacker:
        attacker.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, bytes(8)) * 1001)
        assert goaways(rest_of(attacker)) == [ENHANCE_YOUR_CALM]
    server.stop()
    assert "too many PING frames a second" in server.log()
