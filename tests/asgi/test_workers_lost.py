"""Workers that are killed, or stopped for a while or for good, under TLS with HTTP/1.1 and HTTP/2: who else is lost.

Nobody but whose connection the worker had: every connection can be made, every other request is answered, and the
supervisor says which worker was lost, what it had, and starts another.
"""

from __future__ import annotations

import re
import signal
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import secure
import tls_client
from command import Command, Run
from crews import Clients, children, gone, kill, ready
from harness import APPS, Client, Closed, until
from http2_client import Http2

from tricorn import versions

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not versions.has_http2(), reason="HTTP/2 is not built in"),
]

EACH = 3
"""Clients of each kind."""
TURN = 20
"""Requests on a connection, after which another one is made."""

Record = Callable[[str, object], None]
"""The fixture ``record_property``: what the run tells of its figures."""

Speak = Callable[[socket.socket], Client | Http2]
KINDS: dict[str, tuple[str, str, Speak]] = {
    "HTTP/1.1 over TLS 1.2": ("1.2", "http/1.1", Client),
    "HTTP/1.1 over TLS 1.3": ("1.3", "http/1.1", Client),
    "HTTP/2 over TLS 1.3": ("1.3", "h2", partial(Http2, scheme="https")),
}
"""What each kind of client speaks: a version of TLS, a protocol, and what makes a client of a connection."""


class Crowd(Clients):
    """Clients of each kind that ask again and again.

    Args:
        port: Where they connect.

    Attributes:
        answers: How many answers each kind of client has had.
        lost: The processes that had answered on the connections of requests that failed.
        strangers: Connections that were lost before any answer.
        unconnected: Connections that could not be made.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers: Counter[str] = Counter()
        self.lost: list[int] = []
        self.strangers: list[str] = []
        self.unconnected: list[str] = []
        super().__init__(partial(self._run, kind) for kind in KINDS for _ in range(EACH))

    def more(self, each: int) -> None:
        """Wait until each kind has had so many more answers."""
        before = self.answers.copy()
        until(lambda: all(self.answers[kind] >= before[kind] + each for kind in KINDS), "more answers", 60)

    def tell(self, record: Record) -> None:
        """Tell how many were answered, and what was lost."""
        record("requests answered", self.answers.total())
        record("lost with their worker", len(self.lost) + len(self.strangers))
        record("connections refused", len(self.unconnected))

    def _run(self, kind: str) -> None:
        version, protocol, speak = KINDS[kind]
        context = tls_client.client(secure.certificate()[0], version, alpn=(protocol,))
        while not self.over():
            try:
                connection = tls_client.dial(context, self._port)
            except ConnectionRefusedError as error:
                self.unconnected.append(f"{kind}: {error!r}")
                time.sleep(0.01)
            except (OSError, ssl.SSLError) as error:
                self.strangers.append(f"{kind}: {error!r}")
            else:
                self._ask(kind, partial(speak, connection))

    def _ask(self, kind: str, begin: Callable[[], Client | Http2]) -> None:
        pid: int | None = None
        try:
            with begin() as client:
                for _ in range(TURN):
                    pid = int(client.ask().json()["pid"])
                    self.answers[kind] += 1
        except (Closed, OSError) as error:
            if pid is None:
                self.strangers.append(f"{kind}: {error!r}")
            else:
                self.lost.append(pid)


def serve(run: Run, library: str, *more: str) -> tuple[Command, Crowd]:
    """Start two workers that speak TLS, and make clients for them."""
    usual = (
        "crew:app",
        "--app-dir",
        str(APPS),
        "--async-library",
        library,
        "--workers",
        "2",
        "--no-access-log",
    )
    server = run(*usual, "--bind", "127.0.0.1:0", *secure.options(), *more)
    ready(server, 2, 60)
    return server, Crowd(int(server.urls()[0].rpartition(":")[2]))


def test_only_those_of_a_killed_worker_are_lost(run: Run, library: str, record_property: Record) -> None:
    server, crowd = serve(run, library)
    killed = set()
    with crowd.running():
        for round_ in range(2):
            crowd.more(60)
            victim = children(server.process.pid)[0]
            killed.add(victim)
            kill(victim, signal.SIGKILL)
            ready(server, 3 + round_, 90)
        crowd.more(60)
    crowd.tell(record_property)
    assert set(crowd.lost) <= killed
    assert len(crowd.lost) + len(crowd.strangers) <= 2 * EACH * len(KINDS), crowd.strangers
    assert crowd.unconnected == []
    log = server.log()
    assert log.count("was ended by SIGKILL: starting another") == 2
    had = re.findall(
        r"starting another; it had (\d+) connection\(s\) open, and (\d+) request\(s\) at work", log
    )
    assert had and all(0 < int(count) <= EACH * len(KINDS) for count, _ in had)
    assert server.stop() == 0


def test_a_worker_that_is_stopped_for_a_while_loses_nobody(
    run: Run, library: str, record_property: Record
) -> None:
    server, crowd = serve(run, library)
    with crowd.running():
        for worker in children(server.process.pid):
            crowd.more(30)
            kill(worker, signal.SIGSTOP)
            time.sleep(0.7)
            kill(worker, signal.SIGCONT)
        crowd.more(60)
    crowd.tell(record_property)
    assert (crowd.lost, crowd.strangers, crowd.unconnected) == ([], [], [])
    assert "starting another" not in server.log()
    assert server.stop() == 0


def test_a_worker_that_is_stopped_for_good_is_replaced(
    run: Run, library: str, record_property: Record
) -> None:
    """Who asks the others is answered meanwhile; who waits to be accepted is served by the successor."""
    server, crowd = serve(run, library, "--timeout-worker-healthcheck", "3")
    with crowd.running():
        crowd.more(60)
        victim = children(server.process.pid)[0]
        kill(victim, signal.SIGSTOP)
        ready(server, 3, 90)
        crowd.more(60)
    crowd.tell(record_property)
    assert gone([victim])
    assert set(crowd.lost) <= {victim}
    assert len(crowd.lost) + len(crowd.strangers) <= EACH * len(KINDS), crowd.strangers
    assert crowd.unconnected == []
    assert "has stood still for" in server.log()
    server.allows_alarms = True  # the traceback of an abort is what was asked for
    assert server.stop() == 0
