"""Memory and descriptors stay where they are, however many requests and connections have come and gone."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import LIBRARIES, Client, Server, until

REQUESTS = 100_000
BURST = 50
CONNECTIONS = 2_000
GROWTH = 2 << 20
IDLE = 5_000

HOST = b" HTTP/1.1\r\nHost: test.example\r\n"
# Most are plain, as in life: a burst is pipelined, and its last answer tells that all have come.
MIX = [
    *[b"GET /plain" + HOST + b"\r\n"] * (BURST - 10),
    *[b"POST /body" + HOST + b"Content-Length: 5\r\n\r\nhello"] * 3,
    *[b"POST /body" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] * 2,
    *[b"GET /stream" + HOST + b"\r\n"] * 2,
    *[b"GET /sleep" + HOST + b"\r\n"] * 2,
    b"GET /plain" + HOST + b"X-Last: yes\r\n\r\n",
]

Start = Callable[[str], Server]


@pytest.fixture(params=LIBRARIES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, which must stop well."""
    server = Server("flat:app", request.param, tmp_path, "--no-access-log")
    try:
        server.wait_ready()
        yield server
        assert server.stop() == 0, server.log()
    finally:
        server.kill()


@pytest.fixture
def descriptors() -> Iterator[int]:
    """How many connections this process may open; the soft limit is lifted meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard - 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def burst(client: Client) -> None:
    """Send the mix and read every answer."""
    client.send(b"".join(MIX))
    for _ in MIX:
        answer = client.answer()
        assert answer.status == 200 and answer.complete


def rounds(client: Client, n: int) -> None:
    """Send about ``n`` requests."""
    for _ in range(n // len(MIX)):
        burst(client)


def visit(server: Server) -> None:
    """Come and go: an answer read, a failure, a head cut short, a reset."""
    assert server.ask(target="/plain").status == 200
    assert server.ask(target="/fail").status == 500
    with server.connect() as client:
        client.send(b"GET /pl")
    client = server.connect()
    client.request(target="/sleep")
    client.reset()


def test_memory_and_descriptors_are_flat_over_many_requests(server: Server) -> None:
    with server.connect() as client:
        rounds(client, REQUESTS // 5)  # what is made once and kept: pools, caches, the allocator's arenas
        memory, descriptors = server.memory(), server.descriptors()
        rounds(client, REQUESTS)
        assert server.memory() - memory < GROWTH
        assert server.descriptors() == descriptors


def test_memory_and_descriptors_return_after_many_connections(server: Server) -> None:
    def idle() -> int:
        return server.descriptors()

    at_rest = idle()
    for _ in range(CONNECTIONS // 20):
        visit(server)
    until(lambda: idle() == at_rest, "the descriptors are back")
    memory = server.memory()
    for _ in range(CONNECTIONS // 4):
        visit(server)
    until(lambda: idle() == at_rest, "the descriptors are back")
    assert server.memory() - memory < GROWTH


def test_memory_returns_after_many_connections_at_once(server: Server) -> None:
    def crowd() -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(server.connect()) for _ in range(500)]
            for client in clients:
                client.request(target="/sleep")
            for client in clients:
                assert client.answer().status == 200

    crowd()
    at_rest = server.memory()
    for _ in range(4):
        crowd()
    assert server.memory() - at_rest < GROWTH


def anonymous(server: Server) -> int:
    """Return what the process has in memory besides files, in bytes."""
    rollup = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
    return 1024 * sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Anonymous:"))


def test_memory_of_idle_connections_returns(server: Server, descriptors: int) -> None:
    """Of what thousands of connections took that did nothing, nine tenths go back to the system."""
    with server.connect() as client:
        rounds(client, 5_000)
    before = anonymous(server)
    with ExitStack() as stack:
        for _ in range(min(IDLE, descriptors)):
            client = stack.enter_context(server.connect())
            client.request(target="/plain")
            assert client.answer().status == 200
        held = anonymous(server) - before
        assert held / min(IDLE, descriptors) < 1024, "what an idle connection takes"
    until(lambda: anonymous(server) - before < held / 10, "the memory is given back")
