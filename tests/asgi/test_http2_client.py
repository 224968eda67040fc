"""The tests' own client of HTTP/2, where what it does wrong would look like a fault of the server."""

from __future__ import annotations

import socket

from http2_client import Http2

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
GOAWAY = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
ACKNOWLEDGED = bytes([0, 0, 0, 4, 1, 0, 0, 0, 0])


def test_settings_that_come_with_a_goodbye_are_acknowledged() -> None:
    """Else the server counts by the windows from before them, and the client by those that they give."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = Http2(ours)
        theirs.recv(1 << 16)
        theirs.sendall(SETTINGS + GOAWAY)
        client.read()
        assert client.goaways == [(2**31 - 1, 0)]
        theirs.settimeout(5)
        assert theirs.recv(1 << 16) == ACKNOWLEDGED
