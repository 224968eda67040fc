"""How connections are spread over two workers: each tells its process's number."""

from __future__ import annotations

import http.client
import time
from collections import Counter
from contextlib import ExitStack, closing

from bench.kinds import Sample
from bench.measure import (
    CLIENT_CORE,
    SERVER_CORE,
    Subject,
    WrongAnswer,
    explained,
    free_port,
    pinned,
    running,
)

PATIENCE = 10.0
"""Seconds that the second worker may take to serve after the first does."""

SETTLE = 1.0
"""Seconds after the connections have come until it counts who has them: some servers hand connections over."""


def ask(client: http.client.HTTPConnection) -> int:
    """Return the number of the process that answers on a connection. WrongAnswer when there is no such answer."""
    client.request("GET", "/")
    answer = client.getresponse()
    body = answer.read()
    if answer.status != 200 or not body.isdigit():
        raise WrongAnswer(f"not a process's number: {answer.status} {body[:40]!r}")
    return int(body)


def connect(port: int) -> http.client.HTTPConnection:
    """Return a connection to the server that stays open."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.connect()
    return client


def wait_for_both(port: int) -> None:
    """Return when two workers have answered, or have had their time to."""
    seen: set[int] = set()
    deadline = time.monotonic() + PATIENCE
    while len(seen) < 2 and time.monotonic() < deadline:
        with closing(connect(port)) as client:
            seen.add(ask(client))
        time.sleep(0.01)


def share(owners: Counter[int]) -> Sample:
    """Make the figures of who has how many connections."""
    return {"share": max(owners.values()) / owners.total(), "workers": float(len(owners))}


def measure_spread(subject: Subject, seconds: float) -> Sample:
    """Open the connections, ask on each, and a while later again: the last answers tell who has which."""
    del seconds
    port = free_port()
    with (
        explained(subject.log),
        running(subject, port, pinned(f"{SERVER_CORE},{CLIENT_CORE}")),
        ExitStack() as open_,
    ):
        wait_for_both(port)
        clients = [open_.enter_context(closing(connect(port))) for _ in range(subject.workload.connections)]
        for client in clients:
            ask(client)
        time.sleep(SETTLE)
        return share(Counter(ask(client) for client in clients))
