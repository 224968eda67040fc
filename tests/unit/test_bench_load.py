"""The load generator believes nothing: each way in which an answer can be wrong ends it with a reason."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.environments import credentials, load_generator
from loopback import listening

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nDate: now\r\ncontent-length: 5\r\n\r\nhello"


def serve_one(client: socket.socket, answer: bytes, piece: int, close: bool) -> None:
    """Answer each request with the same bytes, in pieces; close after the first if told to."""
    pending = b""
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := client.recv(65536):
            pending += data
            while pending.startswith(REQUEST):
                pending = pending.removeprefix(REQUEST)
                for at in range(0, len(answer), piece):
                    client.sendall(answer[at : at + piece])
                if close:
                    return


@contextmanager
def server(
    answer: bytes, piece: int = 1 << 20, close: bool = False, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Listen on a port of the loopback interface while the block runs."""

    def serve(client: socket.socket) -> None:
        spoken = tls.wrap_socket(client, server_side=True) if tls is not None else client
        serve_one(spoken, answer, piece, close)

    with listening(serve) as port:
        yield port


def load(
    tmp_path: Path, port: int, *options: str, body: bytes = b"hello"
) -> subprocess.CompletedProcess[str]:
    """Run the load generator to its end."""
    (tmp_path / "request").write_bytes(REQUEST)
    (tmp_path / "body").write_bytes(body)
    files = ["--request", str(tmp_path / "request"), "--body", str(tmp_path / "body")]
    command = [str(load_generator()), "--port", str(port), *files, *(options or ("--requests", "20"))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("depth", [1, 4])
def test_right_answers_in_any_pieces_are_counted(tmp_path: Path, piece: int, depth: int) -> None:
    with server(GOOD, piece) as port:
        done = load(tmp_path, port, "--requests", "23", "--connections", "3", "--depth", str(depth))
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["requests"] == 23
    assert found["bytes"] == 23 * len(GOOD)
    assert 0 < found["p50_us"] <= found["p90_us"] <= found["p99_us"] <= found["max_us"]


def test_a_body_may_repeat_a_pattern(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhellohellohe"
    with server(answer, 5) as port:
        assert load(tmp_path, port, "--requests", "3", "--length", "12").returncode == 0


def test_an_empty_body(tmp_path: Path) -> None:
    with server(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n") as port:
        assert load(tmp_path, port, "--requests", "3", "--status", "204", body=b"").returncode == 0


def test_one_request_for_each_connection(tmp_path: Path) -> None:
    with server(GOOD, close=True) as port:
        done = load(tmp_path, port, "--requests", "10", "--connections", "2", "--close")
    assert json.loads(done.stdout)["requests"] == 10


def test_a_phase_may_end_by_the_clock(tmp_path: Path) -> None:
    with server(GOOD) as port:
        done = load(tmp_path, port, "--seconds", "0.1", "--warm", "0.05")
    assert json.loads(done.stdout)["seconds"] >= 0.1


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    """Make what a server needs to speak TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials() / "certificate.pem", credentials() / "key.pem")
    return context


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("close", [False, True])
def test_answers_over_tls_are_counted(tmp_path: Path, tls: ssl.SSLContext, piece: int, close: bool) -> None:
    with server(GOOD, piece, close=close, tls=tls) as port:
        done = load(tmp_path, port, "--tls", "--requests", "9", "--connections", "2", *["--close"] * close)
    assert done.stderr == ""
    assert json.loads(done.stdout)["requests"] == 9


def test_a_wrong_answer_over_tls_ends_the_run(tmp_path: Path, tls: ssl.SSLContext) -> None:
    with server(GOOD.replace(b"hello", b"jello"), tls=tls) as port:
        assert "a wrong body" in load(tmp_path, port, "--tls", "--requests", "1").stderr


def test_tls_1_2_is_no_answer(tmp_path: Path) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(credentials() / "certificate.pem", credentials() / "key.pem")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with server(GOOD, tls=old) as port:
        done = load(tmp_path, port, "--tls", "--requests", "1")
    assert (done.returncode, done.stderr[:10]) == (1, "load: TLS:")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GOOD.replace(b"200", b"500"), "status 500, not 200"),
        (GOOD.replace(b"hello", b"jello"), "a wrong body"),
        (GOOD.replace(b": 5", b": 6"), "Content-Length 6, not 5"),
        (GOOD.replace(b"content-length", b"x-length"), "Content-Length -1, not 5"),
        (GOOD + b"!", "not an answer|after the last answer"),
        (b"nonsense and more of it\r\n\r\n", "not an answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 2000, "a head of more than"),
    ],
)
def test_a_wrong_answer_ends_the_run(tmp_path: Path, answer: bytes, reason: str) -> None:
    with server(answer) as port:
        done = load(tmp_path, port)
    assert done.returncode == 1
    assert done.stdout == ""
    assert any(part in done.stderr for part in reason.split("|"))


def test_a_lost_connection_ends_the_run(tmp_path: Path) -> None:
    with server(GOOD, close=True) as port:
        done = load(tmp_path, port)
    assert done.returncode == 1


@pytest.mark.parametrize(
    "options", [("--requests", "0"), ("--close", "--depth", "2", "--seconds", "1"), ("--what",)]
)
def test_a_senseless_command_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert load(tmp_path, 1, *options).returncode == 1


@pytest.mark.parametrize(("close_after", "code"), [(False, 0), (True, 1)])
def test_idle_connections_are_looked_at_in_the_end(tmp_path: Path, close_after: bool, code: int) -> None:
    (tmp_path / "request").write_bytes(REQUEST)
    (tmp_path / "body").write_bytes(b"hello")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        files = ["--request", str(tmp_path / "request"), "--body", str(tmp_path / "body")]
        with subprocess.Popen(
            [str(load_generator()), "--port", str(port), *files, "--requests", "1", "--gate"],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as client:
            assert client.stdout is not None and client.stdin is not None
            assert client.stdout.readline() == "ready\n"
            peer = listener.accept()[0]
            with peer:
                client.stdin.write("go\n")
                client.stdin.flush()
                peer.recv(65536)
                peer.sendall(GOOD)
                assert '"requests": 1,' in client.stdout.readline()
                if close_after:
                    peer.close()
                _, complaint = client.communicate("end\n", timeout=10)
    assert client.returncode == code
    assert ("an idle connection was closed" in complaint) is close_after


def take_uploads(listener: socket.socket, size: int) -> None:
    """Read requests that are followed by so many zeros, and answer each."""
    client, _ = listener.accept()
    with client:
        wanted, pending = REQUEST + bytes(size), b""
        while data := client.recv(65536):
            pending += data
            assert wanted.startswith(pending)
            if pending == wanted:
                client.sendall(GOOD)
                pending = b""


@pytest.mark.parametrize("size", [1, 300_000, 1 << 20])
def test_an_upload_follows_its_request(tmp_path: Path, size: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take_uploads, listener, size)
        done = load(tmp_path, listener.getsockname()[1], "--requests", "3", "--upload", str(size))
        taken.result(60)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["requests"] == 3
    assert result["bytes"] == 3 * (len(REQUEST) + size + len(GOOD))


def test_uploads_are_not_pipelined(tmp_path: Path) -> None:
    done = load(tmp_path, 1, "--requests", "1", "--upload", "1", "--depth", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert "one request at a time" in done.stderr
