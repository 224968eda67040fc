"""A connection over TLS from its handshake to its end, as peers that do it wrong or slowly see it."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from authority import self_signed
from harness import APPS, TIMEOUT, Client, Serve, Server, until
from tls_client import IGNORE_UNEXPECTED_EOF, dial

APP = "bare:app"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MANY, ENOUGH = GET * 2500, 64 << 20


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate for this machine, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def options(files: tuple[Path, Path]) -> list[str]:
    """Return the options that have a server speak TLS."""
    return ["--ssl-certfile", str(files[0]), "--ssl-keyfile", str(files[1])]


@pytest.fixture
def server(shared: Serve, library: str, options: list[str]) -> Server:
    """Return a server whose patience is short."""
    return shared(APP, library, *options, "--ssl-handshake-timeout", "0.5", "--timeout-keep-alive", "0.5")


@pytest.fixture
def context(files: tuple[Path, Path]) -> ssl.SSLContext:
    """Return what a client that trusts the certificate speaks."""
    made = ssl.create_default_context(cafile=str(files[0]))
    made.options &= ~IGNORE_UNEXPECTED_EOF  # an end that TLS does not tell of is an error
    return made


@pytest.fixture
def client(server: Server, context: ssl.SSLContext) -> Iterator[Client]:
    """Return a connection over TLS."""
    with Client(dial(context, server.port)) as opened:
        yield opened


def hello(context: ssl.SSLContext) -> bytes:
    """Return a client's first message."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def test_handshake_byte_by_byte_has_a_deadline(server: Server, context: ssl.SSLContext) -> None:
    """Further bytes do not restart it; others are served meanwhile."""
    began = time.monotonic()
    with server.connect() as slow:
        try:
            for byte in hello(context):
                slow.send(bytes([byte]))
                time.sleep(0.02)
                assert time.monotonic() - began < 5
        except OSError:
            pass
        assert slow.closed()
    assert 0.4 < time.monotonic() - began < 5
    until(lambda: "the TLS handshake was not over in time" in server.log(), "the log says why")
    with Client(dial(context, server.port)) as client:
        assert client.ask().status == 200


def test_time_of_the_first_request_begins_with_the_end_of_the_handshake(client: Client) -> None:
    time.sleep(0.7)
    assert client.ask().status == 200


@pytest.mark.parametrize(
    "begin", [GET, b"DELETE / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"P"]
)
def test_plain_http_is_told_where_to_go(server: Server, begin: bytes) -> None:
    with server.connect() as client:
        client.send(begin + bytes(100_000 * (len(begin) > 1)))
        answer = client.answer()
        assert (answer.status, b"https://" in answer.body) == (400, True)
        assert client.closed()
    until(lambda: "with 400: plain HTTP was sent where HTTPS is spoken" in server.log(), "the log says why")


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"\x00" * 50_000, "what came is no TLS"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + bytes(50_000), "the TLS handshake failed"),
        (b"\x16\x03\x01\x40\x00\x01\x01\x00\x00", "the client's first message is too long"),
    ],
)
def test_what_is_no_handshake_is_ended_and_logged(server: Server, sent: bytes, why: str) -> None:
    """Nobody is reset: an alert is there to be read, although we have not read all that was sent."""
    with server.connect() as client:
        client.send(sent)
        assert client.rest()[:1] == b"\x15"
    until(lambda: why in server.log(), "the log says why")


def test_peers_that_go_in_their_handshake_are_not_logged(server: Server, context: ssl.SSLContext) -> None:
    before = server.log()
    for sent in (b"", hello(context)[:50], hello(context)):
        with server.connect() as client:
            client.send(sent)
    with Client(dial(context, server.port)) as client:
        assert client.ask().status == 200
    assert server.log() == before


def test_client_that_does_not_trust_us_is_logged_in_words(server: Server) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        dial(ssl.create_default_context(), server.port)
    until(lambda: "the client does not know who signed our certificate" in server.log(), "the log says why")


def s_client(server: Server, *options: str, keys: str) -> str:
    """Return what OpenSSL's client says when these lines are typed into it, one after another."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *options]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, bufsize=1, **pipes) as process:
        assert process.stdin is not None
        for key in keys:
            time.sleep(0.01)
            if process.poll() is None:
                process.stdin.write(f"{key}\n")
        return process.communicate(timeout=TIMEOUT)[0]


def test_renegotiation_is_refused(server: Server) -> None:
    assert "no renegotiation" in s_client(server, "-tls1_2", keys="R")


def test_updates_of_keys_are_followed_until_they_are_a_flood(server: Server, context: ssl.SSLContext) -> None:
    """OpenSSL's client updates its keys at each line K."""
    s_client(server, "-tls1_3", keys="K" * 15)
    assert "messages without data again and again" not in server.log()
    s_client(server, "-tls1_3", keys="K" * 60)
    until(lambda: "messages without data again and again" in server.log(), "the log says why")


def test_idle_connection_ends_with_a_word_of_tls(client: Client) -> None:
    assert client.ask().status == 200
    # Had it not been said, recv() would fail.
    assert client.socket.recv(1) == b""


def test_upload_that_is_cut_is_a_disconnect(own: Serve, library: str, options: Any, context: Any) -> None:
    """An end without a word of TLS is not taken for the end of a body."""
    server = own("bare:app", library, *options)
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
    wrapped = context.wrap_socket(plain.dup(), server_hostname="localhost")
    wrapped.sendall(b"POST /waiting HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    until(lambda: "began" in server.access(), "the application reads")
    plain.shutdown(socket.SHUT_WR)
    # It asks for `more_body`, which a disconnect has not.
    until(lambda: "KeyError" in server.log() or "KeyError" in server.access(), "the application was told")
    wrapped.close()
    plain.close()


def test_answer_that_is_cut_does_not_look_whole(own: Serve, library: str, options: Any, context: Any) -> None:
    """An answer of HTTP/1.0 that ends with its connection: TLS says that it has not ended."""
    server = own("cut:app", library, *options)
    with dial(context, server.port) as connection:
        connection.sendall(b"GET /whole HTTP/1.0\r\nHost: a\r\n\r\n")
        assert read_all(connection).endswith(b"\r\n\r\nhalf and half")
    with dial(context, server.port) as connection:
        connection.sendall(b"GET /half HTTP/1.0\r\nHost: a\r\n\r\n")
        with pytest.raises(ssl.SSLError, match=r"(?i)eof"):
            read_all(connection)


def read_all(connection: ssl.SSLSocket) -> bytes:
    """Read to the end that TLS tells of."""
    connection.suppress_ragged_eofs = False
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def test_proxy_header_comes_before_tls(run: Any, library: str, options: Any, context: Any) -> None:
    """The PROXY header is in clear text, in pieces or in one with the beginning of the handshake."""
    usual = ("proxied:app", "--async-library", library, "--app-dir", str(APPS), "--bind", "127.0.0.1:0,proxy")
    server = run(*usual, *options)
    server.wait_ready()
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 443\r\n"
    for pause in (0, 0.1):
        with server.connect() as client:
            client.send(header[:20])
            time.sleep(pause)
            client.send(header[20:])
            time.sleep(pause)
            with Client(context.wrap_socket(client.socket, server_hostname="localhost")) as secure:
                scope = secure.ask().json()
            assert (scope["client"], scope["scheme"]) == (["192.0.2.1", 1111], "https")
    with server.connect() as client:
        client.send(header + b"GET / HTTP/1.1\r\n\r\n")
        assert client.answer().status == 400
    with server.connect() as client:
        client.send(hello(context))
        assert client.closed()
    until(lambda: "its first bytes are no PROXY header" in server.log(), "the log says why")


def test_connections_over_the_limit_are_told_so(own: Serve, library: str, options: Any, context: Any) -> None:
    server = own(APP, library, *options, "--limit-connections", "1")
    with Client(dial(context, server.port)) as first:
        assert first.ask().status == 200
        with Client(dial(context, server.port)) as second:
            assert second.answer().status == 503
        assert first.ask().status == 200


def fill(peer: ssl.SSLSocket, sent: int = 0) -> int:
    """Go on with requests, after so many bytes, until none is taken for a while or it is enough; returns the bytes."""
    peer.settimeout(0.3)
    with suppress(TimeoutError):
        while sent < ENOUGH:
            sent += peer.send(MANY[sent % len(GET) :])
    return sent


def test_pipeline_that_the_core_answers_is_held_back(
    shared: Serve, library: str, options: list[str], context: ssl.SSLContext
) -> None:
    """Who sends as fast as it is decrypted and reads nothing costs a bound of memory, and others are served."""
    server = shared(APP, library, *options, "--health-path", "/")
    with Client(dial(context, server.port)) as other:
        assert other.ask().body == b"ok\n"
        before = server.memory()
        with dial(context, server.port) as flooding:
            server.send_signal(signal.SIGSTOP)  # so that it finds all that the kernel holds
            sent = fill(flooding)
            server.send_signal(signal.SIGCONT)
            assert fill(flooding, sent) < ENOUGH
            assert server.memory() - before < 8 << 20
            assert other.ask().body == b"ok\n"


def test_many_handshakes_at_once_are_all_served(server: Server, context: ssl.SSLContext) -> None:
    """More than a turn takes."""
    statuses: list[int] = []

    def ask() -> None:
        with Client(dial(context, server.port)) as client:
            statuses.append(client.ask().status)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 50


def test_stop_ends_connections_that_are_idle_or_in_their_handshake(
    own: Serve, library: str, options: Any, context: Any
) -> None:
    server = own(APP, library, *options)
    with server.connect() as shaking, Client(dial(context, server.port)) as idle:
        shaking.send(hello(context)[:100])
        assert idle.ask().status == 200
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert idle.socket.recv(1) == b""
    assert "handshake" not in server.log()
