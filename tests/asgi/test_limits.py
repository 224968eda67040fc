"""What holds when resources run out: descriptors, places, patience. The server goes on."""

from __future__ import annotations

import contextlib
import resource
import time
from pathlib import Path

import pytest
from harness import TIMEOUT, Client, Serve, Server, until

APP = "wire:app"
NONE_TOO = True
HOST = b"Host: a\r\n"


def leave_descriptors(server: Server, number: int) -> None:
    """Let the server open so many more descriptors; the limit is a number, below which some may be free."""
    used = {int(path.name) for path in Path(f"/proc/{server.process.pid}/fd").iterdir()}
    limit = 0
    while number > 0:
        number -= limit not in used
        limit += 1
    hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, hard))


def test_server_out_of_descriptors_serves_whom_it_has(own: Serve, library: str) -> None:
    """It neither ends nor spins, and takes new clients as soon as others leave."""
    server = own(APP, library)
    leave_descriptors(server, 5)
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        assert client.ask(target="/hello").status == 200
    waiting = [server.connect() for _ in range(5)]
    for client in waiting:
        client.request(target="/hello")
    before = server.cpu()
    assert waiting[0].quiet(0.5)
    assert server.cpu() - before < 0.2, "it spins"
    for client in clients:
        assert client.ask(target="/number?n=1&ms=2").body == b"1"
        client.close()
    for client in waiting:
        assert client.answer().status == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log()


def test_idle_connections_take_no_processor(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    clients = [server.connect() for _ in range(100)]
    for client in clients:
        assert client.ask(target="/hello").status == 200
    before = server.cpu()
    assert clients[0].quiet(0.5)
    assert server.cpu() - before < 0.1
    for client in clients:
        client.close()


def test_places_of_clients_that_go_are_given_back(shared: Serve, library: str) -> None:
    server = shared(APP, library, "--limit-concurrency", "3")
    for _ in range(3):
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.send(
                b"POST /wait_for_body?token=limit HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nabc"
            )
        until(lambda: server.ask(target="/hello").status == 503, "three are at work")
        with server.connect() as late:
            answer = late.ask("POST", "/refused", b"body")
            assert (answer.status, answer.get("connection")) == (503, "close") and late.closed()
        for client in clients:
            client.reset()
        until(lambda: server.ask(target="/hello").status == 200, "the places are given back")
    assert "/refused" not in server.get("/seen")


@pytest.mark.parametrize("data", [b"", b"a" * 1000], ids=["silent", "flooding"])
def test_closing_connection_does_not_linger_for_ever(own: Serve, library: str, data: bytes) -> None:
    """After an early answer the rest of a body is thrown away for a while only."""
    server = own(APP, library, "--timeout-linger", "0.4")
    before = server.descriptors()
    with server.connect() as client:
        client.send(b"POST /ignore HTTP/1.1\r\n" + HOST + b"Content-Length: 100000000\r\n\r\n")
        assert client.answer().body == b"ignored"
        assert client.closed(), "the server's side ends at once"
        assert server.descriptors() == before + 1
        until(lambda: ended(server, client, data, before), "the connection is closed altogether", TIMEOUT / 3)


def ended(server: Server, client: Client, data: bytes, before: int) -> bool:
    """Send on, and tell whether the server has let go of the connection."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.send(data)
    return server.descriptors() <= before


def test_408_once_a_byte_of_the_first_head_came(shared: Serve, library: str) -> None:
    with shared(APP, library, "--timeout-first-request", "0.4").connect() as client:
        client.send(b"G")
        assert client.answer().status == 408 and client.closed()


def test_refusals_are_logged_with_the_client(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    with server.connect() as client:
        host, port = client.socket.getsockname()
        client.send(b"bad\r\n\r\n")
        assert client.answer().status == 400
    until(lambda: f"{host}:{port} with 400" in server.log(), "the line in the log")


def test_keep_alive_of_zero_closes_after_the_answer(shared: Serve, library: str) -> None:
    with shared(APP, library, "--timeout-keep-alive", "0").connect() as client:
        assert client.ask(target="/hello").status == 200
        began = time.monotonic()
        assert client.closed() and time.monotonic() - began < 2
