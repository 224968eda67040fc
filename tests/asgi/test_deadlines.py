"""Deadlines are the client's: what has arrived in time counts, however late the application lets the server look."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Client, Serve, Server, until

APP = "deadlines:app"
DEADLINE = 0.6
LONG = 1.6 * DEADLINE
SLACK = 3.0
"""How much later than its deadline a client may be told, on a machine with much to do."""
OPTIONS = (
    *("--timeout-keep-alive", str(DEADLINE)),
    *("--timeout-request-head", str(DEADLINE)),
    *("--timeout-request-body", str(DEADLINE)),
    *("--timeout-write", str(DEADLINE)),
)
HOST = b" HTTP/1.1\r\nHost: a\r\n"


def serve(shared: Serve, library: str) -> Server:
    """The server of this module."""
    return shared(APP, library, *OPTIONS)


def get(target: bytes) -> bytes:
    """The bytes of a request without a body."""
    return b"GET " + target + HOST + b"\r\n"


def post(target: bytes, length: int) -> bytes:
    """The head of a request with a body."""
    return b"POST " + target + HOST + b"Content-Length: %d\r\n\r\n" % length


def body_of(number: int, length: int) -> bytes:
    """A body that is no other's."""
    return (b"%d." % number * length)[:length]


@contextlib.contextmanager
def blocked(server: Server, directory: Path, page: str = "/block") -> Iterator[None]:
    """The application lets nothing else run meanwhile, and then for longer than any deadline."""
    path = directory / "until"
    with server.connect() as client:
        client.request(target=f"{page}?until={path}")
        until(directory.joinpath("until.begun").exists, "the application blocks")
        yield
        time.sleep(LONG)
        path.touch()
        assert client.answer().body == b"blocked"


def read_what_is_there(client: Client, most: float = math.inf) -> bytes:
    """Read until nothing has come for a moment, or so much."""
    client.socket.settimeout(0.1)
    data = bytearray()
    with contextlib.suppress(TimeoutError):
        while len(data) < most and (piece := client.socket.recv(1 << 16)):
            data += piece
    client.socket.settimeout(15)
    return bytes(data)


@pytest.mark.parametrize(("clients", "length"), [(1, 5), (1, 100_000), (300, 50)])
def test_body_that_arrived_while_the_application_blocked(
    shared: Serve, library: str, tmp_path: Path, clients: int, length: int
) -> None:
    """The applications wait for their bodies as another one blocks; a client that sends none is refused."""
    server = serve(shared, library)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(clients)]
        silent = stack.enter_context(server.connect())
        for client in [*connections, silent]:
            client.send(post(b"/read", length))
        until(lambda: int(server.ask(target="/gated").body) == clients + 1, "all are at work")
        with blocked(server, tmp_path, "/let_in_and_block"):
            for number, client in enumerate(connections):
                client.send(body_of(number, length))
        for number, client in enumerate(connections):
            answer = client.answer()
            assert answer.status == 200 and answer.body == body_of(number, length)
        assert silent.answer().status == 408 and silent.closed()


@pytest.mark.parametrize("known", [False, True], ids=["new", "kept"])
def test_requests_that_arrived_while_the_application_blocked(
    shared: Serve, library: str, tmp_path: Path, known: bool
) -> None:
    """Many small ones, whole; that a connection idles or has yet to be accepted makes no difference."""
    server = serve(shared, library)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(300 if not known else 50)]
        if known:
            for client in clients:
                assert client.ask(target="/plain").status == 200
        with blocked(server, tmp_path):
            for number, client in enumerate(clients):
                client.send(post(b"/plain", 20) + body_of(number, 20))
        for number, client in enumerate(clients):
            answer = client.answer()
            assert answer.status == 200 and answer.body == body_of(number, 20)


@pytest.mark.parametrize("length", [10, 300_000])
def test_application_that_blocks_between_pieces(
    shared: Serve, library: str, tmp_path: Path, length: int
) -> None:
    """It waits for the first piece, blocks, and finds the rest; more than the socket holds comes afterwards."""
    server = serve(shared, library)
    path = tmp_path / "until"
    body = body_of(7, length)
    with server.connect() as client:
        client.send(post(f"/block_between?until={path}".encode(), length))
        assert client.quiet(DEADLINE / 4)
        client.send(body[:3])
        until(tmp_path.joinpath("until.begun").exists, "the application blocks")
        client.send(body[3:100_000])
        time.sleep(LONG)
        path.touch()
        client.send(body[100_000:])
        answer = client.answer()
        assert answer.status == 200 and answer.body == body


@pytest.mark.parametrize("most", [1_000_000, math.inf], ids=["some", "all"])
def test_reader_who_read_while_another_application_blocked(
    shared: Serve, library: str, tmp_path: Path, most: float
) -> None:
    """What it has taken counts, even if that is too little for the socket to be writable."""
    server = serve(shared, library)
    count, size = 200, 100_000
    with server.connect() as client:
        client.send(get(b"/download?count=%d&size=%d" % (count, size)).replace(b"1.1", b"1.0"))
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        with blocked(server, tmp_path):
            got = read_what_is_there(client, most)
        body = got + client.rest()
    assert len(body) >= count * size and body.endswith(b"xend")


def test_reader_who_read_while_the_sender_blocked(shared: Serve, library: str, tmp_path: Path) -> None:
    """The sender is full, blocks, and goes on; the client reads meanwhile what the kernel holds."""
    server = serve(shared, library)
    path = tmp_path / "until"
    with server.connect() as client:
        client.send(get(f"/block_when_full?until={path}".encode()).replace(b"1.1", b"1.0"))
        until(tmp_path.joinpath("until.begun").exists, "the application blocks")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        body = read_what_is_there(client)
        time.sleep(LONG)
        path.touch()
        body += client.rest()
    count = body.rpartition(b"x")[2]
    assert count.isdigit() and body.count(b"x") == int(count) * 100_000


@pytest.mark.parametrize("when", ["meanwhile", "afterwards"])
def test_cancelled_receive_stops_the_clock(shared: Serve, library: str, when: str) -> None:
    """The application pauses for longer than the deadline, and nobody waits for the body in that time."""
    server = serve(shared, library)
    pause = int(LONG * 1000)
    with server.connect() as client:
        client.send(post(f"/give_up?patience=50&times=2&pause={pause}".encode(), 10) + b"first")
        assert client.quiet(LONG / 2 if when == "meanwhile" else LONG + 0.2)
        client.send(b"after")
        got, cancelled, lasted = client.answer().json()
        assert got == "firstafter" and cancelled in {1, 2} and lasted >= LONG


def test_cancelled_receive_stops_the_clock_again_and_again(shared: Serve, library: str) -> None:
    """The pauses are no time of the client's, together much longer than the deadline."""
    server = serve(shared, library)
    with server.connect() as client:
        client.send(post(b"/give_up?patience=10&times=15&pause=100", 10) + b"first")
        assert client.quiet(2 * DEADLINE)
        client.send(b"after")
        got, cancelled, _ = client.answer().json()
        assert got == "firstafter" and cancelled > 5


def test_cancelled_receive_does_not_give_time_anew(shared: Serve, library: str) -> None:
    """The clock goes on from where it stood: a client that sends nothing is refused after some receives."""
    server = serve(shared, library)
    with server.connect() as client:
        began = time.monotonic()
        client.send(post(b"/give_up?patience=200&times=100&pause=20", 10))
        assert client.answer().status == 408 and client.closed()
        assert DEADLINE * 0.9 < time.monotonic() - began < DEADLINE + SLACK


@pytest.mark.parametrize("dribbling", [False, True], ids=["silent", "dribbling"])
def test_half_a_head_behind_an_answer_has_a_deadline(shared: Serve, library: str, dribbling: bool) -> None:
    """It is told so behind the answer, at the latest a deadline after it; bytes that dribble in change nothing."""
    server = serve(shared, library)
    with server.connect() as client:
        client.send(get(b"/slow?ms=%d" % (LONG * 1000)) + b"GET /plain HTTP/1.1\r\nA: ")
        began = time.monotonic()
        while dribbling and client.quiet(0.05):
            client.send(b"b")
        answer = client.answer()
        assert answer.status == 200 and answer.body == b"slow"
        answered = time.monotonic()
        assert answered - began > LONG * 0.9
        while dribbling and client.quiet(0.05):
            client.send(b"b")
        assert client.answer().status == 408
        assert time.monotonic() - answered < DEADLINE + SLACK
        assert client.closed()


def test_rest_of_a_head_that_comes_behind_the_answer(shared: Serve, library: str) -> None:
    """The answer before it took longer than a head may: that is not this head's time."""
    server = serve(shared, library)
    with server.connect() as client:
        client.send(get(b"/slow?ms=%d" % (LONG * 1000)) + get(b"/plain?next")[:-2])
        assert client.answer().body == b"slow"
        client.send(b"\r\n")
        assert client.answer().body == b"next"


@pytest.mark.parametrize("kept", [False, True], ids=["first", "next"])
def test_rest_of_a_head_that_arrived_while_the_application_blocked(
    shared: Serve, library: str, tmp_path: Path, kept: bool
) -> None:
    server = serve(shared, library)
    with server.connect() as client:
        if kept:
            assert client.ask(target="/plain").status == 200
        client.send(get(b"/plain?whole")[:-2])
        with blocked(server, tmp_path):
            client.send(b"\r\n")
        assert client.answer().body == b"whole"


@pytest.mark.parametrize("what", ["receive", "send", "collect"])
@pytest.mark.parametrize("waits", [False, True], ids=["there", "waiting"])
def test_finalizers_that_run_inside_of_receive(shared: Serve, library: str, what: str, waits: bool) -> None:
    """Wherever garbage is collected, and whatever that runs: no byte of a body is lost, doubled or changed."""
    server = serve(shared, library)
    inside = 0
    for allocations in range(1, 16):
        body = b"%d bodies" % allocations * 10
        with server.connect() as client:
            client.send(post(f"/finalize?what={what}&allocations={allocations}".encode(), len(body)))
            client.send(body[:5] if waits else body)
            if waits:
                time.sleep(0.01)
                client.send(body[5:])
            answer = client.answer()
            assert answer.status == 200 and answer.body == body
            inside += answer.get("x-inside") != "0"
    assert server.ask("POST", "/plain", b"well").body == b"well"
    if sys.version_info < (3, 12):
        assert inside > 0, "later versions collect between instructions"
