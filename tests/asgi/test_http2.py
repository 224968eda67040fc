"""HTTP/2 as applications and clients see it: how it is chosen, requests, answers, bodies."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from authority import self_signed
from command import fails
from harness import APPS, TIMEOUT, Serve, Server, until
from http2_client import Http2, connect, connect_tls

from tricorn import versions

pytestmark = pytest.mark.skipif(not versions.has_http2(), reason="HTTP/2 is not built in")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes(3) + b"\x04" + bytes(5)


@pytest.fixture
def server(shared: Serve, library: str) -> Server:
    """A server that speaks HTTP/2 without TLS."""
    return shared("wire:app", library, "--http2")


@pytest.fixture
def client(server: Server) -> Any:
    """A connection to it."""
    with connect(server) as opened:
        yield opened


def test_get(client: Http2) -> None:
    answer = client.ask("GET", "/hello")
    assert (answer.status, answer.body) == (200, b"Hello, world!")
    assert answer.get("content-length") == "13" and answer.get("content-type") == "text/plain"
    assert answer.get("server") and answer.get("date")


def test_scope(shared: Serve, library: str) -> None:
    """The authority is the first field, called Host; fields are in lower case and in order."""
    server = shared("proxied:app", library, "--http2")
    with connect(server) as client:
        scope = client.ask("GET", "/a%20b/%C3%A9?x=1&y", fields=[("X-One", "1"), ("x-two", "2")]).json()
        local = client.socket.getsockname()
    assert (scope["type"], scope["http_version"], scope["scheme"]) == ("http", "2", "http")
    assert (scope["method"], scope["path"]) == ("GET", "/a b/é")
    assert scope["raw_path"] == {"bytes": "/a%20b/%C3%A9"} and scope["query_string"] == {"bytes": "x=1&y"}
    assert [[name["bytes"], value["bytes"]] for name, value in scope["headers"]] == [
        ["host", "test.example"],
        ["x-one", "1"],
        ["x-two", "2"],
    ]
    assert scope["client"] == [local[0], local[1]] and scope["server"] == ["127.0.0.1", server.port]


def test_access_log_says_which_version(own: Serve, library: str) -> None:
    server = own("wire:app", library, "--http2", "--access-log-format", "%(r)s|%(H)s|%(s)s|%(B)s")
    with connect(server) as client:
        client.ask("GET", "/hello")
    until(lambda: "\n" in server.access(), "the line")
    assert server.access().rstrip().endswith("GET /hello HTTP/2|HTTP/2|200|13")


@pytest.mark.parametrize("size", [0, 1, 16384, 65535, 300_000])
def test_body_comes_back(client: Http2, size: int) -> None:
    """A body that is larger than the window goes on as the application takes it."""
    body = hashlib.shake_256(b"body").digest(size)
    for fields in ((), (("content-length", str(size)),)):
        answer = client.ask("POST", "/echo", body, fields)
        assert (answer.status, bytes(answer.body)) == (200, body)


def test_head_has_the_fields_of_get(client: Http2) -> None:
    answer = client.ask("HEAD", "/hello")
    assert (answer.status, answer.get("content-length"), answer.body) == (200, "13", b"")


# --- how it is chosen ---


@pytest.mark.parametrize("piece", [1, 2, 23])
def test_preface_may_come_in_pieces(server: Server, piece: int) -> None:
    with server.connect() as client:
        data = PREFACE + SETTINGS
        for at in range(0, len(data), piece):
            client.send(data[at : at + piece])
            if at + piece < len(PREFACE):
                assert client.quiet(0.005)
        assert client.exactly(9)[3] == 4  # its own settings


@pytest.mark.parametrize(
    "request_line", ["GET /hello", "POST /hello", "PRI * HTTP/1.1\r\n", "PR /hello", "PUT /hello"]
)
@pytest.mark.parametrize("cut", [1, 2, 3, 7])
def test_http1_is_still_spoken(server: Server, request_line: str, cut: int) -> None:
    """Also where its first bytes could have been HTTP/2's, and whatever the pieces."""
    data = f"{request_line} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode()
    with server.connect() as client:
        client.send(data[:cut])
        assert client.quiet(0.01)
        client.send(data[cut:])
        answer = client.answer()
        assert answer.status == (400 if request_line.startswith("PRI") else 200)


NEITHER = {
    "no-version": b"GET /\r\n\r\n",
    "version-in-lower-case": b"GET / http/1.1\r\n\r\n",
    "no-request": b"hello\r\n",
    "preface-that-ends": b"PRI *\r\n\r\n",
}


@pytest.mark.parametrize("case", NEITHER)
def test_line_of_no_version_is_an_invalid_preface(server: Server, case: str) -> None:
    """RFC 9113 section 3.4: the connection ends, and there is no version to say it in."""
    with server.connect() as client:
        client.send(NEITHER[case])
        assert client.closed()


def test_preface_of_another_version_is_a_bad_request(server: Server) -> None:
    with server.connect() as client:
        client.send(b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n")
        answer = client.answer()
        assert (answer.status, answer.get("connection")) == (400, "close")
        assert client.closed()


def test_beginning_of_a_preface_is_refused_in_time(shared: Serve, library: str) -> None:
    """It is given no more time than a head is, and its end makes it a request that was cut off."""
    server = shared("wire:app", library, "--http2", "--timeout-request-head", "0.2")
    for ends in (False, True):
        with server.connect() as client:
            client.send(PREFACE[:10])
            if ends:
                client.socket.shutdown(1)
            assert client.answer().status == (400 if ends else 408)
            assert client.closed()


def test_without_the_option_a_preface_is_a_bad_request(shared: Serve, library: str) -> None:
    server = shared("wire:app", library)
    with server.connect() as client:
        client.send(PREFACE + SETTINGS)
        assert client.answer().status in {400, 505}
        assert client.closed()


def test_upgrade_to_h2c_is_passed_over(server: Server) -> None:
    """It is obsolete (RFC 9113 §3.1): the answer is that of HTTP/1.1."""
    fields = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ]
    with server.connect() as client:
        assert client.ask("GET", "/hello", fields=fields).status == 200


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a certificate for this machine, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))[0].parent


@pytest.fixture
def secure(own: Serve, library: str, certificate: Path) -> Any:
    """Start a server of TLS with further options; returns it and what a client that trusts it speaks."""

    def start(*options: str) -> tuple[Server, ssl.SSLContext]:
        files = (
            "--ssl-certfile",
            str(certificate / "cert.pem"),
            "--ssl-keyfile",
            str(certificate / "key.pem"),
        )
        context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        return own("proxied:app", library, *files, *options), context

    return start


def test_over_tls_it_is_chosen_by_alpn(secure: Any) -> None:
    server, context = secure()
    with connect_tls(context, server.port) as client:
        scope = client.ask("GET", "/").json()
        assert (scope["http_version"], scope["scheme"]) == ("2", "https")
        # Had the server not said that it ends, unwrap() would fail.
        assert client.ask("POST", "/", bytes(100_000)).status == 200


def test_over_tls_it_is_left_out_with_no_http2(secure: Any) -> None:
    server, context = secure("--no-http2")
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        server.connect() as client,
        context.wrap_socket(client.socket, server_hostname="localhost") as connection,
    ):
        assert connection.selected_alpn_protocol() == "http/1.1"


def test_preface_over_tls_without_alpn_is_a_bad_request(secure: Any) -> None:
    """Prior knowledge is for connections without TLS (RFC 9113 §3.3)."""
    server, context = secure("--http2")
    with (
        server.connect() as client,
        context.wrap_socket(client.socket, server_hostname="localhost") as connection,
    ):
        connection.sendall(PREFACE + SETTINGS)
        assert re.match(rb"HTTP/1\.1 (400|505) ", connection.recv(65536))


def test_http_option_speaks_of_http1_only(shared: Serve, library: str) -> None:
    server = shared("wire:app", library, "--http2", "--http", "h11")
    with connect(server) as client:
        assert client.ask("GET", "/hello").status == 200
    assert server.ask("GET", "/hello").status == 200


# --- other clients ---


def test_curl(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/upload"
    done = subprocess.run(
        ["curl", "-s", "--http2-prior-knowledge", "-d", "@-", url],
        input=b"x" * 200_000,
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert json.loads(done.stdout) == [200_000, hashlib.sha256(b"x" * 200_000).hexdigest()]


def test_nghttp(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/hello"
    done = subprocess.run(["nghttp", "-m", "20", url], capture_output=True, timeout=TIMEOUT, check=True)
    assert done.stdout == b"Hello, world!" * 20 and not done.stderr


def test_h2load(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/hello"
    done = subprocess.run(
        ["h2load", "-n", "2000", "-c", "4", "-m", "32", url], capture_output=True, timeout=60, check=True
    )
    assert b"2000 succeeded, 0 failed" in done.stdout and b"2000 2xx" in done.stdout


def test_httpx(server: Server) -> None:
    with httpx.Client(http1=False, http2=True, timeout=TIMEOUT) as client:
        for _ in range(3):
            answer = client.post(f"http://127.0.0.1:{server.port}/echo", content=b"y" * 150_000)
            assert (answer.http_version, answer.content) == ("HTTP/2", b"y" * 150_000)


def test_option_without_http2_in_the_build_is_refused(tmp_path: Path) -> None:
    """In one line that says how to get it."""
    (tmp_path / "sitecustomize.py").write_text(
        "from tricorn import versions\nversions.has_http2 = lambda: False\n"
    )
    (line,) = fails("wire:app", "--http2", code=2, environment={"PYTHONPATH": str(tmp_path)})
    assert "--http2 asks for HTTP/2, which is not built in; install nghttp2" in line
    assert APPS.exists()
