"""Connections that begin with a PROXY header."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
from harness import APPS, until

APP = "proxied:app"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"


def version_2(command: int, family: int, addresses: bytes, extra: bytes = b"") -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(addresses + extra)) + addresses + extra


def packed(family: int, client: str, server: str) -> bytes:
    """Return two addresses with ports 1000 and 443."""
    return socket.inet_pton(family, client) + socket.inet_pton(family, server) + struct.pack("!HH", 1000, 443)


IPV4 = packed(socket.AF_INET, "192.0.2.1", "203.0.113.1")
IPV6 = packed(socket.AF_INET6, "2001:db8::1", "2001:db8::2")
HEADERS = {
    "v1-tcp4": (b"PROXY TCP4 192.0.2.1 203.0.113.1 1000 443\r\n", ["192.0.2.1", 1000], ["203.0.113.1", 443]),
    "v1-tcp6": (
        b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 443\r\n",
        ["2001:db8::1", 1000],
        ["2001:db8::2", 443],
    ),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", None, None),
    "v2-ipv4": (version_2(1, 0x11, IPV4), ["192.0.2.1", 1000], ["203.0.113.1", 443]),
    "v2-ipv6": (version_2(1, 0x21, IPV6), ["2001:db8::1", 1000], ["2001:db8::2", 443]),
    "v2-extra": (
        version_2(1, 0x11, IPV4, b"\x04\0\x04none" * 500),
        ["192.0.2.1", 1000],
        ["203.0.113.1", 443],
    ),
    "v2-unspecified": (version_2(1, 0, b""), None, None),
}


@pytest.fixture
def serve(run: Any, library: str) -> Any:
    """Start a server whose listener asks for headers."""

    def start(*options: str) -> Any:
        usual = (APP, "--async-library", library, "--app-dir", str(APPS), "--bind", "127.0.0.1:0,proxy")
        server = run(*usual, *options)
        server.wait_ready()
        return server

    return start


def test_headers(serve: Any) -> None:
    """Whole or byte by byte; the client's own fields are not believed."""
    server = serve()
    for header, client_address, server_address in HEADERS.values():
        for piece in (len(header + REQUEST), 3 if len(header) < 200 else 1000):
            with server.connect() as client:
                client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                mine = list(client.socket.getsockname())
                theirs = list(client.socket.getpeername())
                data = header + REQUEST
                for at in range(0, len(data), piece):
                    client.send(data[at : at + piece])
                scope = client.answer().json()
                assert scope["client"] == (client_address or mine), header
                assert scope["server"] == (server_address or theirs), header
                client.send(REQUEST)  # the header comes once
                assert client.answer().json()["client"] == (client_address or mine)
    assert "192.0.2.1:1000" in server.access()
    assert server.stop() == 0


def test_the_proxy_itself(serve: Any) -> None:
    """It may check us, and is trusted; so is a proxy before it."""
    server = serve("--forwarded-allow-ips", "127.0.0.1,192.0.2.0/24")
    for header in (version_2(0, 0, b""), version_2(0, 0x11, IPV4), HEADERS["v1-tcp4"][0]):
        with server.connect() as client:
            client.send(header + REQUEST)
            assert client.answer().json()["client"] == ["198.51.100.1", 0]
    assert server.stop() == 0


def test_no_header(serve: Any) -> None:
    """Nothing of such a connection is read as a request."""
    server = serve("--timeout-first-request", "0.3")
    with server.connect() as plain, server.connect() as silent, server.connect() as cut:
        plain.send(REQUEST)
        cut.send(b"PROXY TCP4 192.0")
        cut.socket.shutdown(socket.SHUT_WR)
        assert plain.closed()
        assert cut.closed()
        assert silent.closed()
    for reason in ("no PROXY header", "ended before its PROXY header", "did not come in time"):
        until(lambda reason=reason: reason in server.log(), reason)  # type: ignore[misc]
    assert "GET" not in server.access()
    assert server.stop() == 0


def test_a_peer_that_is_not_trusted(serve: Any) -> None:
    server = serve("--forwarded-allow-ips", "192.0.2.1")
    with server.connect() as client:
        assert client.answer().status == 400
        assert client.closed()
    until(lambda: "may not send a PROXY header" in server.log(), "the reason")
    assert server.stop() == 0
