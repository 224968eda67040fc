"""The load generator of HTTP/2 believes nothing, and opens as many streams as it was told to."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from bench.environments import http2_load_generator
from bench.workloads import BROWSER
from loopback import listening

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")

Connection = h2.connection.H2Connection
Answer = Callable[[Connection, int], None]


class Seen:
    """What a server has seen of its clients."""

    def __init__(self) -> None:
        self.most = 0
        self.heads: list[dict[str, str]] = []


def good(connection: Connection, stream: int) -> None:
    """Answer as the generator wants it."""
    connection.send_headers(stream, [(":status", "200")])
    connection.send_data(stream, b"hel")
    connection.send_data(stream, b"lo", end_stream=True)


def serve_one(client: socket.socket, answer: Answer, seen: Seen) -> None:
    """Answer the requests of each read together."""
    connection = Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    connection.initiate_connection()
    client.sendall(connection.data_to_send())
    while data := client.recv(65536):
        open_streams = []
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                seen.heads.append({str(name): str(value) for name, value in event.headers})
                open_streams.append(event.stream_id)
        seen.most = max(seen.most, len(open_streams))
        for stream in open_streams:
            answer(connection, stream)
        client.sendall(connection.data_to_send())


@contextmanager
def server(answer: Answer) -> Iterator[tuple[int, Seen]]:
    """Listen on a port of the loopback interface while the block runs."""
    seen = Seen()
    with listening(lambda client: serve_one(client, answer, seen)) as port:
        yield port, seen


def load(tmp_path: Path, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the load generator to its end."""
    (tmp_path / "request").write_bytes(BROWSER)
    (tmp_path / "body").write_bytes(b"hello")
    files = ["--request", str(tmp_path / "request"), "--body", str(tmp_path / "body")]
    command = [str(http2_load_generator()), "--port", str(port), *files, *(options or ("--requests", "20"))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_answers_are_counted_and_streams_kept_open(tmp_path: Path) -> None:
    with server(good) as (port, seen):
        done = load(tmp_path, port, "--requests", "40", "--connections", "2", "--depth", "5")
    assert done.stderr == ""
    assert json.loads(done.stdout)["requests"] == 40
    assert 1 < seen.most <= 5


def test_the_request_is_that_of_http_1(tmp_path: Path) -> None:
    with server(good) as (port, seen):
        load(tmp_path, port, "--requests", "1")
    [head] = seen.heads
    assert (head[":method"], head[":path"], head[":scheme"]) == ("GET", "/", "http")
    assert head[":authority"] == "localhost:8000"
    assert head["sec-fetch-dest"] == "document"
    assert len(head) == 12
    assert "connection" not in head


def test_a_phase_may_end_by_the_clock(tmp_path: Path) -> None:
    with server(good) as (port, _):
        done = load(tmp_path, port, "--seconds", "0.1", "--warm", "0.05")
    assert json.loads(done.stdout)["seconds"] >= 0.1


def refused(connection: Connection, stream: int) -> None:
    """Answer with another status."""
    connection.send_headers(stream, [(":status", "503")], end_stream=True)


def other(connection: Connection, stream: int) -> None:
    """Answer with another body."""
    connection.send_headers(stream, [(":status", "200")])
    connection.send_data(stream, b"jello", end_stream=True)


def short(connection: Connection, stream: int) -> None:
    """Answer with a part of the body."""
    connection.send_headers(stream, [(":status", "200")])
    connection.send_data(stream, b"hell", end_stream=True)


def reset(connection: Connection, stream: int) -> None:
    """Give no answer."""
    connection.reset_stream(stream, 2)


def leave(connection: Connection, stream: int) -> None:
    """End the connection."""
    raise ConnectionResetError


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refused, "status 503"),
        (other, "a wrong body"),
        (short, "ended with NO_ERROR after 4 bytes"),
        (reset, "ended with INTERNAL_ERROR after 0 bytes"),
        (leave, "the connection was lost"),
    ],
)
def test_a_wrong_answer_ends_the_run(tmp_path: Path, answer: Answer, reason: str) -> None:
    with server(answer) as (port, _):
        done = load(tmp_path, port)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr


@pytest.mark.parametrize("options", [("--requests", "0"), ("--depth", "0", "--seconds", "1"), ("--what",)])
def test_a_senseless_command_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert load(tmp_path, 1, *options).returncode == 1
