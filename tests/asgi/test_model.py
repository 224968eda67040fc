"""Random mixtures, held against a model: what each connection must answer is known before it is asked.

Connections pipeline requests that finish at once, suspend, stream, fail or are refused, in pieces cut at random; some
clients leave in the midst of it. A run is repeated by its seed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from harness import TIMEOUT, Client, Closed, Serve, Server, until

APP = "comings:app"


@dataclass
class Asked:
    """A request and the answer that the model expects."""

    data: bytes
    status: int
    body: bytes
    head: bool = False
    last: bool = False
    """Whether the connection ends with this answer."""


def request(method: str, target: str, fields: str = "", body: bytes = b"") -> bytes:
    """Return a request's bytes."""
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode() + body


def with_body(rng: random.Random, target: str, body: bytes) -> bytes:
    """Return a request with a body, by one framing or the other."""
    if rng.random() < 0.5:
        return request("POST", target, f"Content-Length: {len(body)}\r\n", body)
    chunks, at = b"", 0
    while at < len(body):
        size = rng.randint(1, len(body) - at)
        chunks += b"%x\r\n%s\r\n" % (size, body[at : at + size])
        at += size
    return request("POST", target, "Transfer-Encoding: chunked\r\n", chunks + b"0\r\n\r\n")


def pause(rng: random.Random, name: str = "ms") -> str:
    """Return a pause of a few milliseconds for a target, or none."""
    return f"&{name}={rng.randint(0, 4)}" if rng.random() < 0.5 else ""


def ask_plain(rng: random.Random, n: str) -> Asked:
    return Asked(request("GET", f"/plain?n={n}{pause(rng)}"), 200, n.encode())


def ask_grouped(rng: random.Random, n: str) -> Asked:
    return Asked(request("GET", f"/grouped?n={n}{pause(rng)}"), 200, n.encode())


def ask_head(rng: random.Random, n: str) -> Asked:
    return Asked(request("HEAD", f"/plain?n={n}{pause(rng)}"), 200, b"", head=True)


def ask_missing(rng: random.Random, n: str) -> Asked:
    return Asked(request("GET", f"/missing?n={n}"), 404, b"no such page")


def ask_echo(rng: random.Random, n: str) -> Asked:
    body = rng.randbytes(rng.choice((0, 1, 100, 5000, 100_000)))
    target = f"/echo?n={n}{pause(rng)}{pause(rng, 'later')}"
    return Asked(with_body(rng, target, body), 200, n.encode() + b":" + body)


def ask_ignore(rng: random.Random, n: str) -> Asked:
    body = rng.randbytes(rng.choice((0, 1, 1000)))
    return Asked(with_body(rng, f"/ignore?n={n}{pause(rng)}", body), 200, n.encode())


def ask_stream(rng: random.Random, n: str) -> Asked:
    count = rng.randint(0, 6)
    body = "".join(f"{n}.{number};" for number in range(count)).encode()
    return Asked(request("GET", f"/stream?n={n}&count={count}{pause(rng)}"), 200, body)


def ask_failure(rng: random.Random, n: str) -> Asked:
    return Asked(request("GET", f"/fail?n={n}{pause(rng)}"), 500, b"Internal Server Error", last=True)


def ask_badly(rng: random.Random, n: str) -> Asked:
    return Asked(b"GET /plain?n=bad HTTP/1.1\r\n\r\n", 400, b"Bad Request\n", last=True)


def ask_and_close(rng: random.Random, n: str) -> Asked:
    target = f"/plain?n={n}{pause(rng)}"
    return Asked(request("GET", target, "Connection: close\r\n"), 200, n.encode(), last=True)


USUAL: list[Callable[[random.Random, str], Asked]] = [
    *[ask_plain] * 4,
    *[ask_echo] * 3,
    ask_grouped,
    ask_head,
    ask_missing,
    ask_ignore,
    ask_stream,
    ask_stream,
]
LAST = [ask_failure, ask_badly, ask_and_close]


def planned(rng: random.Random, name: str) -> list[Asked]:
    """Make up what one connection asks."""
    asked = [rng.choice(USUAL)(rng, f"{name}-{number}") for number in range(rng.randint(1, 12))]
    if rng.random() < 0.4:
        asked.append(rng.choice(LAST)(rng, f"{name}-last"))
    return asked


def send_cut_up(rng: random.Random, client: Client, data: bytes) -> None:
    """Send bytes in pieces of any size, with pauses now and then."""
    at = 0
    while at < len(data):
        size = rng.choice((1, 10, 100, 10_000, 1_000_000))
        client.send(data[at : at + size])
        at += size
        if rng.random() < 0.1:
            time.sleep(rng.random() / 500)


def check(client: Client, asked: list[Asked]) -> None:
    """Read the answers and hold them against the model."""
    for one in asked:
        answer = client.answer(head=one.head)
        assert (answer.status, answer.body) == (one.status, one.body)
        assert answer.complete and (answer.get("connection") == "close") == one.last
    if asked[-1].last:
        assert client.closed()


def converse(server: Server, rng: random.Random, name: str) -> None:
    """Use one connection, to the end or until the client has had enough."""
    asked = planned(rng, name)
    data = b"".join(one.data for one in asked)
    leaves = rng.random() < 0.25
    client = server.connect()
    sender = threading.Thread(target=send_cut_up, args=(random.Random(name), client, data), daemon=True)
    if leaves:
        client.send(data[: rng.randint(0, len(data))][:100_000])
        if rng.random() < 0.5:
            time.sleep(rng.random() / 100)
        client.reset() if rng.random() < 0.5 else client.close()
        return
    sender.start()
    try:
        check(client, asked)
    finally:
        sender.join(TIMEOUT)
        client.close()


@pytest.mark.parametrize("seed", range(4))
def test_I1_to_I9_random_mixture(shared: Serve, library: str, seed: int) -> None:
    server = shared(APP, library, "--no-access-log", "--timeout-linger", "1")
    failures: list[str] = []

    def work(number: int) -> None:
        rng = random.Random(seed * 1000 + number)
        for turn in range(25):
            name = f"{seed}-{number}-{turn}"
            try:
                converse(server, rng, name)
            except (AssertionError, Closed, OSError) as error:
                failures.append(f"{name}: {error!r}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * TIMEOUT)
        assert not thread.is_alive(), "an answer is missing"
    assert failures == []
    until(lambda: server.get("/now")[0] == 0, "nothing is left at work")
