"""Threads and memory stay where they are, however many requests a WSGI application has had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import LIBRARIES, Client, Server

ROUNDS = 400
GROWTH = 1 << 20

MIX = (
    b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /download?count=5&size=1000 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /written HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /context HTTP/1.1\r\nHost: a\r\n\r\n",
)


def play(server: Server, client: Client, rounds: int) -> None:
    """Send the mix so often; now and then fail, or leave."""
    for turn in range(rounds):
        for request in MIX:
            client.send(request)
            assert client.answer().status in {200, 201}
        if turn % 20 == 0:
            assert server.ask(target="/fail").status == 500
            leaving = server.connect()
            leaving.request(target="/stream")
            leaving.exactly(100)
            leaving.reset()


def threads(server: Server) -> int:
    """Return how many threads the process has."""
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


@pytest.mark.parametrize("library", [*LIBRARIES, "none"])
def test_wsgi_is_flat(library: str, tmp_path: Path) -> None:
    server = Server("wsgi_pages:plain", library, tmp_path, "--wsgi-threads", "2", "--no-access-log")
    try:
        server.wait_ready()
        with server.connect() as client:
            play(server, client, ROUNDS)
            memory, descriptors, count = server.memory(), server.descriptors(), threads(server)
            play(server, client, ROUNDS)
            assert server.memory() - memory < GROWTH
            assert server.descriptors() <= descriptors + 1  # one that has left may not have been noticed yet
            assert threads(server) == count
            client.send(b"GET /noted HTTP/1.1\r\nHost: a\r\n\r\n")
            notes = json.loads(client.answer().body)[0]
            assert notes.count("closed download") == 2 * ROUNDS
        assert server.stop() == 0
    finally:
        server.kill()
