"""A client of the tests that speaks TLS as it is told to."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import TIMEOUT
from websocket_client import Peer

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

IGNORE_UNEXPECTED_EOF = 1 << 7
"""OpenSSL's option, which Python switches on: an end that TLS does not tell of is none."""

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def client(
    authority: Path | None,
    version: str = "",
    certificate: tuple[Path, Path] | None = None,
    alpn: tuple[str, ...] = (),
) -> ssl.SSLContext:
    """Return what a client speaks.

    Args:
        authority: Whose certificates it trusts; without one it trusts any, and adds none to its own certificate.
        version: The only version of TLS that it speaks; empty for any.
        certificate: Its own certificate and key.
        alpn: The protocols that it asks for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context.load_verify_locations(authority)
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if certificate is not None:
        context.load_cert_chain(*map(str, certificate))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def dial(
    context: ssl.SSLContext, port: int, name: str | None = "localhost", session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    """Open a connection over TLS, perhaps by resuming a session."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    return context.wrap_socket(plain, server_hostname=name, session=session)


@contextlib.contextmanager
def not_watched_for_leaks() -> Iterator[None]:
    """Have the leak sanitizer overlook what is allocated within."""
    library = ctypes.CDLL(None) if os.environ.get("TRICORN_TEST_SANITIZED") else None
    if library is not None:
        library.__lsan_disable()
    try:
        yield
    finally:
        if library is not None:
            library.__lsan_enable()


def its_session(connection: ssl.SSLSocket | ssl.SSLObject) -> ssl.SSLSession | None:
    """Return a client's session. Python makes two copies of it for that, and loses one."""
    with not_watched_for_leaks():
        return connection.session


def first_message(context: ssl.SSLContext, port: int) -> Any:
    """Open a WebSocket and return the first message, which is JSON."""
    with Peer(dial(context, port)) as peer:
        peer.ask_upgrade("/")
        peer.opened()
        return json.loads(peer.message())


def exchange(connection: ssl.SSLSocket, request: bytes = REQUEST) -> bytes:
    """Send a request that ends its connection, and return all that comes."""
    connection.sendall(request)
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def alert(context: ssl.SSLContext, port: int, name: str = "localhost") -> str:
    """Return the alert that a connection ends with; empty when a request is answered."""
    try:
        with dial(context, port, name) as connection:
            answer = exchange(connection)
    except ssl.SSLError as error:
        text = str(error).partition(" (_ssl")[0]
        return text.rpartition(" alert ")[2]
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
    return ""
