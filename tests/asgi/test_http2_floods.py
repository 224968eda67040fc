"""Floods of HTTP/2: each ends its connection, and others are answered meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from harness import TIMEOUT, Serve, Server
from http2_client import ENHANCE_YOUR_CALM, connect
from proof.http2_floods import FLOODS, GOAWAY, PING, PREFACE, SETTINGS, frame

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_http2(), reason="HTTP/2 is not built in")


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
