"""Large bodies, slow ends, early answers: what flows, and what it costs in memory."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator

import pytest
from harness import Client, Serve, Server, until

APP = "wire:app"
NONE_TOO = True
MIB = 1 << 20
PIECE = bytes(range(256)) * 256
"""64 KiB."""
COUNT = 320
"""Pieces in 20 MiB."""


def uploaded(chunked: bool) -> Iterator[bytes]:
    """Give the bytes of an upload of 20 MiB."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (len(PIECE) * COUNT)
    yield b"POST /upload HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n"
    for _ in range(COUNT):
        yield b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    if chunked:
        yield b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_large_upload_streams(shared: Serve, library: str, chunked: bool) -> None:
    server = shared(APP, library)
    server.ask(target="/hello")
    before = server.memory()
    with server.connect() as client:
        for data in uploaded(chunked):
            client.send(data)
        size, digest = client.answer().json()
    assert size == len(PIECE) * COUNT
    assert digest == hashlib.sha256(PIECE * COUNT).hexdigest()
    assert server.memory() - before < 8 * MIB


@pytest.mark.parametrize("length", ["", "&length=1"], ids=["chunked", "length"])
def test_large_download_streams(shared: Serve, library: str, length: str) -> None:
    server = shared(APP, library)
    server.ask(target="/hello")
    before = server.memory()
    with server.connect() as client:
        answer = client.ask(target=f"/download?count={COUNT}&size={len(PIECE)}{length}")
    digest = hashlib.sha256(b"".join(bytes([n % 251]) * len(PIECE) for n in range(COUNT)))
    assert answer.complete and hashlib.sha256(answer.body).digest() == digest.digest()
    assert server.memory() - before < 8 * MIB


def test_large_body_of_one_message(shared: Serve, library: str) -> None:
    answer = shared(APP, library).ask(target=f"/download?count=1&size={20 * MIB}")
    assert answer.body == b"\0" * 20 * MIB


def progress(server: Server, token: str) -> int:
    """Return how many pieces the application has sent."""
    return next((int(note[1]) for note in server.get("/noted") if note[0] == token), 0)


def settled(server: Server, token: str) -> int:
    """Wait until the application sends no more, and return how far it has come."""
    until(lambda: progress(server, token) > 0, "the beginning")
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 0.3:
        if (now := progress(server, token)) != last:
            last, since = now, time.monotonic()
        time.sleep(0.02)
    return last


def test_slow_reader_suspends_send(shared: Serve, library: str) -> None:
    """The application is held up, memory stays, and all arrives in the end."""
    server = shared(APP, library)
    server.ask(target="/hello")
    before = server.memory()
    with server.connect() as client:
        client.request(target=f"/download?count=640&size={len(PIECE)}&token=slow")
        sent = settled(server, "slow")
        assert 0 < sent < 640, "40 MiB were taken for a reader that reads nothing"
        assert server.memory() - before < 8 * MIB
        answer = client.answer()
        assert answer.complete and len(answer.body) == 640 * len(PIECE)
    assert progress(server, "slow") == 640


def test_unread_upload_is_not_taken_into_memory(shared: Serve, library: str) -> None:
    """An application that does not receive holds up the client."""
    server = shared(APP, library)
    server.ask(target="/hello")
    before = server.memory()
    body = PIECE * 640
    with server.connect() as client:
        head = f"POST /read_late HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        sender = threading.Thread(target=client.send, args=(head.encode() + body,), daemon=True)
        sender.start()
        until(lambda: server.ask(target="/held_now").body == b"1", "the application waits")
        sender.join(0.5)
        assert sender.is_alive(), "40 MiB were taken for an application that reads nothing"
        assert server.memory() - before < 8 * MIB
        server.ask(target="/let")
        assert client.answer().json() == [len(body), hashlib.sha256(body).hexdigest()]
        sender.join()


def in_order(client: Client) -> bool:
    """Tell whether the connection can be used further."""
    return client.ask("POST", "/echo", b"still in order").body == b"still in order"


@pytest.mark.parametrize("page", ["/ignore", "/ignore?ms=20"], ids=["at-once", "later"])
def test_early_answer_to_a_small_body_keeps_the_connection(shared: Serve, library: str, page: str) -> None:
    with shared(APP, library).connect() as client:
        assert client.ask("POST", page, b"a" * 1000).body == b"ignored"
        assert in_order(client)


def test_early_answer_drains_what_comes_later(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n")
        assert client.answer().body == b"ignored"
        for _ in range(10):
            client.send(b"a" * 1000)
        assert in_order(client)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_early_answer_to_a_large_body_is_not_lost(shared: Serve, library: str, chunked: bool) -> None:
    """The client is in the midst of sending: no reset may eat the answer, and the connection is closed."""
    with shared(APP, library).connect() as client:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {50 * MIB}"
        client.send(f"POST /ignore?code=403 HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        for _ in range(8):
            client.send(b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
        answer = client.answer()
        assert (answer.status, answer.body) == (403, b"ignored")
        assert client.closed()


def test_early_answer_after_a_part_of_the_body(shared: Serve, library: str) -> None:
    with shared(APP, library).connect() as client:
        client.send(b"POST /read_some HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert client.answer().body == b"read 1"
        client.send(b"defghij")
        assert in_order(client)


def test_hundred_clients_with_bodies(shared: Serve, library: str) -> None:
    server = shared(APP, library)
    clients = [server.connect() for _ in range(100)]
    bodies = [bytes([n]) * (n * 1000 + 1) for n in range(100)]
    for client, body in zip(clients, bodies, strict=True):
        client.send(f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    for client, body in zip(clients, bodies, strict=True):
        client.send(body[: len(body) // 2])
    for client, body in reversed(list(zip(clients, bodies, strict=True))):
        client.send(body[len(body) // 2 :])
    for client, body in zip(clients, bodies, strict=True):
        assert client.answer().body == body
        client.close()


def test_memory_and_descriptors_come_back(shared: Serve, library: str) -> None:
    """Clients that leave in the midst of things leave nothing behind."""
    server = shared(APP, library)
    server.ask(target="/hello")
    descriptors, memory = server.descriptors(), server.memory()
    for n in range(300):
        client = server.connect()
        if n % 3 == 0:
            client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + PIECE)
        elif n % 3 == 1:
            client.request(target="/download?count=50&size=65536")
            client.exactly(100)
        client.reset() if n % 2 else client.close()
    until(lambda: server.descriptors() <= descriptors, "the descriptors are closed")
    assert server.memory() - memory < 16 * MIB
