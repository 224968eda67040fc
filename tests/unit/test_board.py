"""The board: what a worker says of itself, while it is idle, at work, stuck and stopping, on every library."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from core_bench import Bench, answer

from tricorn._backends import load
from tricorn.board import SLOTS_MOST, Board
from tricorn.config import Config
from tricorn.server import Service

LIBRARIES = ("asyncio", "uvloop", "trio", "curio", "none")
REQUEST = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def board() -> Iterator[Board]:
    """A board of three slots."""
    board = Board.create(3)
    yield board
    board.close()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer; at /block, after having blocked the loop for half a second, first suspended or not."""
    if scope["path"] == "/block":
        time.sleep(0.5)
    if scope["path"] == "/suspend-and-block":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):  # one of them is a checkpoint
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        time.sleep(0.5)
        await send({"type": "http.response.body"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Running:
    """A server in a thread that reports to slot 1."""

    def __init__(self, library: str, board: Board) -> None:
        backend = load(library)
        self.service = Service(Config(app, port=0, lifespan="off", log_config=None), app, backend)
        self.service.core.report(board.fd, 1)
        self.port = int(self.service.urls[0].rpartition(":")[2])
        self.thread = threading.Thread(target=backend.run, args=(self.service.main,))
        self.thread.start()

    def ask(self, path: str) -> None:
        """Send a request and read its answer's first bytes and the end of its body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as client:
            client.sendall(REQUEST.format(path).encode())
            data = b""
            while not data.endswith((b"ok", b"0\r\n\r\n")):
                data += client.recv(65536)

    def stop(self) -> None:
        """End it."""
        self.service.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture(params=LIBRARIES)
def running(request: pytest.FixtureRequest, board: Board) -> Iterator[Running]:
    """A server on each library."""
    running = Running(request.param, board)
    wait_for(lambda: board.read(1).age < 1)
    yield running
    running.stop()


def test_idle_beats(running: Running, board: Board) -> None:
    """While the loop runs the cell does not grow old, and nothing is late."""
    ages = []
    for _ in range(14):
        time.sleep(0.05)
        ages.append(board.read(1).age)
    assert max(ages) < 0.5
    assert any(lag < 0.05 for lag in lag_seen(board, 60))
    assert board.read(0).age == board.read(2).age == float("inf")


def lag_seen(board: Board, times: int) -> Iterator[float]:
    """Give the lag again and again: a machine that is busy otherwise is late, too, and that is seen for a while."""
    for _ in range(times):
        time.sleep(0.2)
        yield board.read(1).lag


def test_busy_is_not_late(running: Running, board: Board) -> None:
    """Many quick requests keep the loop busy, and it is there for all."""
    until = time.monotonic() + 1
    lags = []
    while time.monotonic() < until:
        running.ask("/")
        lags.append(board.read(1).lag)
    assert sorted(lags)[len(lags) // 4] < 0.05
    wait_for(lambda: board.read(1).exchanges > 10)
    wait_for(lambda: board.read(1).open == 0 and board.read(1).active == 0)


@pytest.mark.parametrize("path", ["/block", "/suspend-and-block"])
def test_a_blocked_loop_is_late(running: Running, board: Board, path: str) -> None:
    """Also while it is blocked: the cell grows old."""
    asking = threading.Thread(target=running.ask, args=(path,))
    asking.start()
    wait_for(lambda: board.read(1).age > 0.35)
    asking.join()
    wait_for(lambda: board.read(1).lag >= 0.4)
    assert running.service.core.counters()["lag_ms"] >= 400


def test_flags(board: Board) -> None:
    """Readiness is told at once; a stop takes it away."""
    service = Service(Config(app, port=0, lifespan="off", log_config=None), app, load("asyncio"))
    service.core.report(board.fd, 2)
    cell = board.read(2)
    assert (cell.ready, cell.stopping, cell.pid) == (False, False, os.getpid())
    service.core.set_ready(True)
    assert board.read(2).ready
    service.core.stop()
    cell = board.read(2)
    assert (cell.ready, cell.stopping) == (False, True)
    service.core.close()
    board.clear(2)
    assert (board.read(2).pid, board.read(2).stopping) == (0, False)


def test_what_the_core_refuses(bench: Callable[..., Bench], board: Board) -> None:
    """A slot that there is not, a descriptor that is none, a second board, and values that are nothing."""
    core = bench(answer).server
    with pytest.raises(ValueError, match="the board has no slot 64"):
        core.report(board.fd, 64)
    with pytest.raises(OSError, match="Bad file descriptor"):
        core.report(-1, 0)
    core.report(board.fd, 0)
    with pytest.raises(RuntimeError):
        core.report(board.fd, 1)
    with pytest.raises(TypeError):
        core.report("board", 1)  # type: ignore[arg-type]

    class Unsure:
        def __bool__(self) -> bool:
            raise LookupError

    with pytest.raises(LookupError):
        core.set_ready(Unsure())  # type: ignore[arg-type]


def test_lag_without_a_board(bench: Callable[..., Bench]) -> None:
    """It can be measured alone."""
    core = bench(answer).server
    assert core.counters()["lag_ms"] == 0
    core.measure()
    runner = core.runner()
    assert runner.send(None) == "wait"
    time.sleep(0.6)
    assert runner.send(None) == "wait"
    assert core.counters()["lag_ms"] >= 250
    runner.close()


def test_boards_that_cannot_be() -> None:
    """Of no slot, of too many; and slots beyond."""
    for slots in (0, SLOTS_MOST + 1):
        with pytest.raises(ValueError, match=f"not {slots}"):
            Board.create(slots)
    board = Board.create(2)
    for slot in (-1, 2):
        with pytest.raises(IndexError, match=f"no slot {slot}"):
            board.read(slot)
        with pytest.raises(IndexError):
            board.clear(slot)
    with pytest.raises(PermissionError):
        os.ftruncate(board.fd, 0)
    board.close()


def test_no_descriptor_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the memory cannot be mapped."""
    before = len(list(Path("/proc/self/fd").iterdir()))

    def fail(*_: object) -> None:
        raise OSError("no memory")

    monkeypatch.setattr("tricorn.board.mmap.mmap", fail)
    with pytest.raises(OSError, match="no memory"):
        Board.create(1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
