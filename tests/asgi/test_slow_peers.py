"""Peers that hold places by being slow are ended by their deadlines, and nobody else waits for them."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import re
import selectors
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import TIMEOUT, Serve, Server, until

APP = "wire:app"
PEERS = 300
FIRST, HEAD, KEEP_ALIVE, BODY, WRITE = 1.5, 1.0, 1.25, 1.0, 1.0
DEADLINES = (
    *("--timeout-first-request", str(FIRST)),
    *("--timeout-request-head", str(HEAD)),
    *("--timeout-keep-alive", str(KEEP_ALIVE)),
    *("--timeout-request-body", str(BODY)),
    *("--timeout-write", str(WRITE)),
)
# How much too early an end may seem: the server looks at its clock once a turn, in whole milliseconds.
EARLY = 0.05
LATE = 2.0
# Seconds between the questions of somebody else; what 95 of 100 answers take at most, and what none exceeds, even where
# the machine has something else to do.
PROBE = 0.02
PROMPT = 0.1
EVER = 1.0
# A flock takes a turn every hundredth of a second, and each peer dribbles in one turn of so many.
TURNS = 10


@dataclass(frozen=True)
class Way:
    """One way to be slow: what is sent at once, and what follows a byte at a time, again and again."""

    opening: bytes = b""
    dribble: bytes = b""
    kept: bool = False
    """Whether a request was answered before on the same connection."""


@dataclass(frozen=True)
class Kind:
    """What the peers of a flock do, in turn, and how the server ends it: with this answer, or without a word."""

    deadline: float
    answer: bytes
    ways: tuple[Way, ...]


POST = b"POST /wait_for_body?token=slow HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
LARGE = "/download?count=64&size=16384&length=1"
SLOW = b"HTTP/1.1 408 "
STALLED = "the peer stopped reading the answer"
KINDS = {
    "silent": Kind(FIRST, b"", (Way(),)),
    "heads": Kind(
        HEAD,
        SLOW,
        (
            Way(b"G", b"ET /hello HTTP/1.1\r\n" + b"A: b\r\n" * 20),
            Way(b"GET /hello HTTP/1.1\r\nA: ", b"b", kept=True),
        ),
    ),
    "idle": Kind(KEEP_ALIVE, b"", (Way(kept=True),)),
    "bodies": Kind(BODY, SLOW, (Way(POST + b"Content-Length: 5000\r\n\r\n", b"a"),)),
    "chunked": Kind(
        BODY,
        SLOW,
        (
            Way(CHUNKED, b"1\r\na\r\n"),
            Way(CHUNKED + b"5;", b"extension"),
            Way(CHUNKED + b"0\r\n", b"A: b\r\n"),
        ),
    ),
}


class Peer:
    """A slow connection: ``began`` is when it gave its last reason for a deadline."""

    def __init__(self, server: Server, way: Way) -> None:
        self.began = time.monotonic()
        self.ended = math.inf
        self.got = b""
        self._dribble, self._sent = way.dribble, 0
        client = server.connect()
        self.socket = client.socket
        if way.kept:
            self.began = time.monotonic()
            assert client.ask(target="/hello").status == 200
        if way.opening:
            self.began = time.monotonic()
            client.send(way.opening)
        self.socket.setblocking(False)

    def dribble(self) -> None:
        """Send the next byte, unless it is over; whether it is shows in reading."""
        if self._dribble and self.ended == math.inf:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._sent += self.socket.send(self._dribble[self._sent % len(self._dribble) :][:1])

    def read(self) -> bool:
        """Read, and tell whether the server has ended the connection."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = self.socket.recv(4096)
        self.got += data
        if not data:
            self.ended = time.monotonic()
        return not data


class Flock:
    """Many slow peers, all in one thread."""

    def __init__(self, server: Server, ways: Sequence[Way]) -> None:
        self.peers = [Peer(server, ways[number % len(ways)]) for number in range(PEERS)]
        self._open = selectors.DefaultSelector()
        for peer in self.peers:
            self._open.register(peer.socket, selectors.EVENT_READ, peer)

    def run(self, seconds: float) -> None:
        """Be slow until every peer was ended, or for so long."""
        for some in turns(seconds):
            if not self._open.get_map():
                break
            for key, _ in self._open.select(0):
                if key.data.read():
                    self._open.unregister(key.fileobj)
                    key.data.socket.close()
            for peer in self.peers[some]:
                peer.dribble()

    def close(self) -> None:
        """Let go of all."""
        self._open.close()
        for peer in self.peers:
            peer.socket.close()


def turns(seconds: float) -> Iterator[slice]:
    """Tell whose turn it is, every hundredth of a second for so long."""
    end, turn = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield slice(turn % TURNS, None, TURNS)
        turn += 1
        time.sleep(0.01)


class Probe:
    """Somebody else, who asks again and again on a connection of its own, in a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._client = server.connect()
        self._latencies: list[float] = []
        self._failures: list[Exception] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ask()
        self._thread.start()

    def _ask(self) -> None:
        began = time.monotonic()
        assert self._client.ask(target="/hello").body == b"Hello, world!"
        self._latencies.append(time.monotonic() - began)

    def _run(self) -> None:
        try:
            while not self._over.wait(PROBE):
                self._ask()
        except (AssertionError, OSError) as failure:
            self._failures.append(failure)

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self._thread.join(TIMEOUT)
        self._client.close()

    def check(self) -> None:
        """Every question was answered, and nearly every one at once."""
        assert not self._failures, self._failures
        latencies = sorted(self._latencies)
        middle, high, worst = (latencies[math.ceil(len(latencies) * part) - 1] for part in (0.5, 0.95, 1))
        seen = f"{len(latencies)} answers: median {middle}, 95th percentile {high}, worst {worst}"
        assert high < PROMPT and worst < EVER and len(latencies) >= 10, seen


@contextlib.contextmanager
def probed(server: Server) -> Iterator[Probe]:
    """Let a probe ask meanwhile; afterwards the server has let go of every descriptor it took."""
    before = server.descriptors()
    probe = Probe(server)
    try:
        yield probe
    finally:
        probe.stop()
    probe.check()
    until(lambda: server.descriptors() <= before, "every place is given back")


def check_ends(lives: Sequence[float], deadline: float) -> None:
    """Every connection was ended, at its deadline or soon after, never before."""
    ended = [life for life in lives if life < math.inf]
    assert len(ended) == PEERS, f"{len(ended)} of {PEERS} were ended"
    assert deadline - EARLY <= min(ended), f"ended after {min(ended)} s already"
    assert max(ended) <= deadline + LATE, f"ended after {max(ended)} s only"


@pytest.mark.parametrize("name", KINDS)
def test_slow_writers_are_ended_by_their_deadline(shared: Serve, library: str, name: str) -> None:
    kind = KINDS[name]
    server = shared(APP, library, *DEADLINES)
    with probed(server):
        flock = Flock(server, kind.ways)
        with contextlib.closing(flock):
            flock.run(kind.deadline + LATE + 1)
    check_ends([peer.ended - peer.began for peer in flock.peers], kind.deadline)
    assert {peer.got[: len(SLOW)] for peer in flock.peers} == {kind.answer}


class Narrow(Server):
    """A server whose sockets have little room in the kernel, which else takes megabytes for each slow reader."""

    def _start(
        self, arguments: list[str], environment: dict[str, str], inherited: Sequence[int] = ()
    ) -> None:
        for fd in inherited:
            with socket.socket(fileno=os.dup(fd)) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        super()._start(arguments, environment, inherited)


@pytest.fixture
def narrow(library: str, tmp_path: Path) -> Iterator[Server]:
    """A server for readers that are slow; it must stop with code 0."""
    server = Narrow(APP, library, tmp_path, *DEADLINES, "--limit-send-buffer", "16384")
    try:
        server.wait_ready()
        yield server
        assert server.stop() == 0
    finally:
        server.kill()


def slow_reader(server: Server) -> socket.socket:
    """Ask for a megabyte, with little room for it."""
    reader = socket.socket()
    reader.settimeout(TIMEOUT)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    reader.connect(("127.0.0.1", server.port))
    reader.sendall(b"GET " + LARGE.encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    return reader


def test_slow_readers_are_ended_by_their_deadline(narrow: Server) -> None:
    """They see late or never that they were ended, so the server's descriptors are counted."""
    began: list[float] = []
    ended: list[float] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(probed(narrow))
        before = narrow.descriptors()
        readers = []
        for _ in range(PEERS):
            began.append(time.monotonic())
            readers.append(stack.enter_context(slow_reader(narrow)))
        until(lambda: narrow.descriptors() >= before + PEERS, "all are accepted", WRITE)
        told = narrow.log().count(STALLED)
        for some in turns(WRITE + LATE + 1):
            gone = before + PEERS - narrow.descriptors() - len(ended)
            ended += [time.monotonic()] * gone
            if len(ended) == PEERS:
                break
            for reader in readers[some]:
                with contextlib.suppress(ConnectionResetError):
                    reader.recv(1)
        # Many at once are only counted beyond a bound.
        until(lambda: narrow.log().count(STALLED) - told > PEERS / 10, "the log tells why")
    check_ends([end - start for start, end in zip(began, ended, strict=False)], WRITE)


@dataclass(frozen=True)
class Attack:
    """A mode of slowhttptest, what it asks for, and what the server's logs say of each of its connections."""

    mode: str
    target: str
    said: str
    notices: bool = True
    """Whether it is sure to see that the server has closed; behind a full window the kernel may not tell it."""


def told(server: Server, said: str) -> int:
    """Return of how many the log says something, those included that it only counts."""
    found = re.findall(re.escape(said) + r"(?: \(and (\d+) more)?", server.log() + server.access())
    return len(found) + sum(int(more or 0) for more in found)


# Each library has a mode of its own.
ATTACKS = {
    "asyncio": Attack("-H", "/hello", "with 408: the request head came too slowly"),
    "uvloop": Attack("-B", "/wait_for_body?token=slow", "with 408: the request body came too slowly"),
    "trio": Attack("-X", LARGE, STALLED, notices=False),
    "curio": Attack("-R", "/hello", '"HEAD /hello HTTP/1.1" 200'),
}


@pytest.mark.skipif(
    shutil.which("slowhttptest") is None and not os.environ.get("CI"), reason="there is no slowhttptest"
)
def test_slowhttptest_finds_the_service_available(narrow: Server, library: str, tmp_path: Path) -> None:
    """Its exit code is 0 whatever it finds, so what it wrote is read."""
    attack = ATTACKS[library]
    options = f"{attack.mode} -c {PEERS} -r 200 -l 8 -i 1 -g".split()
    url = f"http://127.0.0.1:{narrow.port}{attack.target}"
    with probed(narrow):
        done = subprocess.run(
            ["slowhttptest", *options, "-o", str(tmp_path / "slow"), "-u", url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    with (tmp_path / "slow.csv").open(newline="") as file:
        seconds = list(csv.DictReader(file))
    assert seconds and all(int(second["Service Available"]) > 0 for second in seconds), seconds
    until(lambda: told(narrow, attack.said) == PEERS, "the log has them all")
    assert "No open connections left" in done.stdout or not attack.notices, done.stdout
