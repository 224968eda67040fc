"""Two workers that share an address evenly: each has a socket of its own, and hands over what is too much."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from core_bench import Bench, answer

from tricorn import _core
from tricorn.board import Board

WORKER = """
import sys
from tricorn._backends import load
from tricorn.config import Config
from tricorn.listening import Listener
from tricorn.server import Service

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"%d" % (10 + slot)})

slot, listener, board, receive, *channels = map(int, sys.argv[2:])
config = Config(app, lifespan="off", access_log=False)
service = Service(config, app, load(sys.argv[1]), listeners=[Listener(listener, "")], owns_process=True)
service.core.report(board, slot)
service.core.balance(receive, channels)
with service.signals():
    sys.exit(service.backend.run(service.main))
"""


class Pair:
    """Two workers, and what their supervisor would hold."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.board = Board.create(2)
        first = _core.listen_tcp("127.0.0.1", 0, 512, True)[0]
        with socket.socket(fileno=os.dup(first)) as opened:
            self.port: int = opened.getsockname()[1]
        self.listeners = [first, _core.listen_tcp("127.0.0.1", self.port, 512, True)[0]]
        self.channels = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        self.clients: list[socket.socket] = []
        self.workers = [self.start(0), self.start(1)]

    def start(self, slot: int) -> subprocess.Popen[bytes]:
        """Start the worker of a slot, and wait until it is ready."""
        self.board.clear(slot)
        channels = [-1 if at == slot else self.channels[at][0].fileno() for at in range(2)]
        receive = self.channels[slot][1].fileno()
        given = [self.listeners[slot], self.board.fd, receive, *channels]
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, self.library, str(slot), *map(str, given)],
            pass_fds=[fd for fd in given if fd >= 0],
        )
        deadline = time.monotonic() + 20
        while not self.board.read(slot).ready or self.board.read(slot).age > 1:
            assert worker.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        return worker

    def connect(self, count: int) -> None:
        """Open so many connections."""
        for _ in range(count):
            self.clients.append(socket.create_connection(("127.0.0.1", self.port), timeout=10))

    def ask(self) -> dict[bytes, int]:
        """Send a request on each connection; returns how many each worker has answered."""
        for client in self.clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        seen: dict[bytes, int] = {}
        for client in self.clients:
            data = b""
            while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < 2:
                more = client.recv(65536)
                assert more, "the connection was lost"
                data += more
            seen[data[-2:]] = seen.get(data[-2:], 0) + 1
        return seen

    def drop(self) -> None:
        """Close every connection."""
        while self.clients:
            self.clients.pop().close()

    def close(self) -> None:
        """End it all."""
        self.drop()
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait(15)
        for ends in self.channels:
            for end in ends:
                end.close()
        for fd in self.listeners:
            os.close(fd)
        self.board.close()


@pytest.fixture(params=["asyncio", "trio"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Two workers on a library."""
    pair = Pair(request.param)
    yield pair
    pair.close()


def test_load_is_even(pair: Pair) -> None:
    """Of 100 connections each worker has 45 to 55, however they come, and each of them is served."""
    for burst in (1, 10, 100):
        for _ in range(100 // burst):
            pair.connect(burst)
            time.sleep(0.002)
        seen = pair.ask()
        assert sum(seen.values()) == 100 and min(seen.values()) >= 45, (burst, seen)
        pair.drop()
        deadline = time.monotonic() + 10
        while pair.board.read(0).open + pair.board.read(1).open:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_what_a_dead_worker_was_given(pair: Pair) -> None:
    """Its successor serves it; what the other keeps is served by that."""
    pair.connect(10)
    pair.ask()
    pair.drop()
    pair.workers[0].kill()
    pair.workers[0].wait()
    os.close(pair.listeners[0])  # so that every connection comes to the other
    pair.listeners[0] = os.dup(pair.board.fd)
    pair.connect(40)
    deadline = time.monotonic() + 10
    while pair.board.read(1).open < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pair.listeners[0] = _core.listen_tcp("127.0.0.1", pair.port, 512, True)[0]
    pair.workers[0] = pair.start(0)
    assert sum(pair.ask().values()) == 40


def test_a_worker_that_stops_loses_none(pair: Pair) -> None:
    """What it was given before is answered, and nothing more is given."""
    pair.connect(60)
    pair.workers[0].send_signal(signal.SIGTERM)
    assert sum(pair.ask().values()) == 60
    assert pair.workers[0].wait(10) == 0


def test_what_the_core_refuses(bench: Callable[..., Bench]) -> None:
    """Channels that are none, and too many."""
    core = bench(answer).server
    with pytest.raises(TypeError):
        core.balance(-1, (1, 2))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        core.balance(-1, ["one"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at most 1024"):
        core.balance(-1, [-1] * 1025)
    with pytest.raises(OSError, match="Bad file descriptor"):
        core.balance(999_999, [-1])
    core.balance(-1, [-1, 1])
    with pytest.raises(RuntimeError):
        core.balance(-1, [-1])
    assert core.counters()["given"] == core.counters()["taken"] == 0
