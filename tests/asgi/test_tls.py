"""HTTPS and WebSockets over TLS, as applications and clients see them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import select
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import self_signed
from command import fails
from harness import APPS, TIMEOUT, until
from tls_client import first_message

SIZE = 3_000_000


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a certificate for this machine, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))[0].parent


@pytest.fixture
def serve(run: Any, library: str, certificate: Path) -> Any:
    """Start a server of an application that speaks TLS; returns it and its port."""

    def start(app: str, *options: str) -> tuple[Any, int]:
        files = (
            "--ssl-certfile",
            str(certificate / "cert.pem"),
            "--ssl-keyfile",
            str(certificate / "key.pem"),
        )
        usual = (app, "--async-library", library, "--app-dir", str(APPS), "--port", "0")
        server = run(*usual, *files, *options)
        server.wait_ready()
        match = re.fullmatch(r"https://127\.0\.0\.1:(\d+)", server.urls()[0])
        assert match, server.urls()
        return server, int(match[1])

    return start


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    """Return what a client that trusts the certificate speaks."""
    return ssl.create_default_context(cafile=str(certificate / "cert.pem"))


def dial(context: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    """Open a connection over TLS."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    return context.wrap_socket(plain, server_hostname="localhost")


def read_all(connection: socket.socket) -> bytes:
    """Read to the end of what comes."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def get(path: str, *fields: str) -> bytes:
    """Return a request that ends its connection."""
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields)
    return "\r\n".join([*lines, "", ""]).encode()


def body_of(answer: bytes) -> bytes:
    """Return the body of a good answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer[:200]
    return body


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_request_over_tls_has_the_scheme_https(
    serve: Any, context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    _, port = serve("proxied:app")
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["http/1.1"])
    with dial(context, port) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
        connection.sendall(get("/"))
        assert json.loads(body_of(read_all(connection)))["scheme"] == "https"
        # Had the server not said that it ends, unwrap() would fail.
        connection.unwrap()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_that_names_no_protocol_we_speak_is_refused(
    serve: Any, context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    _, port = serve("proxied:app")
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["spdy/3"])
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        dial(context, port)


def test_websocket_over_tls_has_the_scheme_wss(serve: Any, context: ssl.SSLContext) -> None:
    _, port = serve("proxied:app")
    assert first_message(context, port)["scheme"] == "wss"


def pieces_of(body: bytes) -> Iterator[bytes]:
    """Cut it, so that records of every size come."""
    at, step = 0, 1
    while at < len(body):
        yield body[at : at + step]
        at, step = at + step, step * 3 % 40_009 + 1000


def exchange(connection: ssl.SSLSocket, pieces: list[bytes]) -> bytes:
    """Send the pieces, one call for each, while what comes is read to its end: by one thread, as OpenSSL wants it."""
    connection.setblocking(False)
    answer = bytearray()
    while True:
        ready = select.select([connection], [connection] if pieces else [], [], TIMEOUT)
        assert any(ready), "nothing came"
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while pieces:
                pieces[0] = pieces[0][connection.send(pieces[0]) :]
                if not pieces[0]:
                    pieces.pop(0)
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while piece := connection.recv(65536):
                answer += piece
            return bytes(answer)


def test_large_body_goes_both_ways(serve: Any, context: ssl.SSLContext) -> None:
    """The body is sent while the answer of the request before it is read, in records of every size."""
    _, port = serve("bare:app")
    body = hashlib.shake_256(b"tls").digest(SIZE)
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n".encode()
    )
    with dial(context, port) as connection:
        answer = exchange(connection, [head, *pieces_of(body)])
    parts = body_of(answer)
    received = bytearray()
    while parts:
        size, _, parts = parts.partition(b"\r\n")
        received += parts[: int(size, 16)]
        parts = parts[int(size, 16) + 2 :]
    assert hashlib.sha256(received).digest() == hashlib.sha256(body).digest()


def test_slow_reader_gets_all_of_a_large_answer(serve: Any, context: ssl.SSLContext) -> None:
    _, port = serve("bare:app")
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(TIMEOUT)
    plain.connect(("127.0.0.1", port))
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(get("/large"))
        assert read_all(connection).count(bytes(65536)) == 64


def test_plain_http_is_told_so(serve: Any) -> None:
    server, port = serve("proxied:app")
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(get("/"))
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
    until(lambda: "plain HTTP was sent where HTTPS is spoken" in server.log(), "the log says why")


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01"])
def test_handshake_that_does_not_go_on_is_ended(serve: Any, first: bytes) -> None:
    _, port = serve("proxied:app", "--ssl-handshake-timeout", "0.3")
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(first)
        assert connection.recv(100) == b""


def test_garbage_is_answered_with_an_alert(serve: Any, context: ssl.SSLContext) -> None:
    server, port = serve("proxied:app")
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        connection.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        assert connection.recv(100)[:1] == b"\x15"
    until(lambda: "the TLS handshake failed" in server.log(), "the log says why")
    with dial(context, port) as connection:
        connection.sendall(get("/"))
        assert body_of(read_all(connection))


def test_what_was_said_with_the_end_is_answered(serve: Any, context: ssl.SSLContext) -> None:
    _, port = serve("proxied:app")
    with dial(context, port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        connection.sendall(get("/"))
        assert read_all(connection).count(b"HTTP/1.1 200 ") == 101


def problem(certificate: Path, *options: str) -> str:
    """Return the first line that a server says which cannot start."""
    lines = fails("proxied:app", "--port", "0", *options, code=2)
    assert len(lines) <= 2, lines
    return lines[0]


def test_wrong_files_are_told_in_a_line(certificate: Path, tmp_path: Path) -> None:
    cert, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    other = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other],
        check=True,
        capture_output=True,
    )
    assert "--ssl-keyfile is given without --ssl-certfile" in problem(certificate, "--ssl-keyfile", key)
    missing = problem(certificate, "--ssl-certfile", str(tmp_path / "none.pem"))
    assert "none.pem" in missing and "No such file" in missing
    assert "cert.pem" in problem(certificate, "--ssl-certfile", cert)  # which has no key in it
    mismatch = problem(certificate, "--ssl-certfile", cert, "--ssl-keyfile", str(other))
    assert "other.pem" in mismatch and "mismatch" in mismatch


def test_key_with_a_password_is_read_with_it_alone(run: Any, certificate: Path, tmp_path: Path) -> None:
    locked, cert = str(tmp_path / "locked.pem"), str(certificate / "cert.pem")
    subprocess.run(
        [
            "openssl",
            "pkcs8",
            "-topk8",
            "-in",
            certificate / "key.pem",
            "-out",
            locked,
            "-passout",
            "pass:secret",
        ],
        check=True,
        capture_output=True,
    )
    files = ("--ssl-certfile", cert, "--ssl-keyfile", locked)
    assert "locked.pem" in problem(certificate, *files)
    assert "locked.pem" in problem(certificate, *files, "--ssl-keyfile-password", "wrong")
    server = run(
        "proxied:app", "--app-dir", str(APPS), "--port", "0", *files, "--ssl-keyfile-password", "secret"
    )
    server.wait_ready()
    assert server.urls()[0].startswith("https://")
