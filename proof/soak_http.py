"""What the soak asks for in HTTP/1.1: scenes of one or some connections, in which every answer is checked."""

from __future__ import annotations

import random
import socket
import time
import zlib
from collections.abc import Callable
from urllib.parse import quote

from harness import Answer, Client, Closed

from proof.soak_server import Soaked

PIECE = bytes(range(256)) * 4
HOST = b" HTTP/1.1\r\nHost: test.example\r\n"

Scene = Callable[[Soaked, random.Random], int]
"""What a client does; returns how many answers were right, and raises when one was not."""


class Told(Exception):
    """The server has told the client, in order, to go on elsewhere, as it may while workers are replaced."""


def last(answer: Answer) -> bool:
    """Tell whether the connection ends behind an answer."""
    return answer.get("connection") == "close"


def ask(client: Client, method: str, target: str, body: bytes | None = None) -> Answer:
    """Ask on a connection; one that has ended between two requests has told so."""
    try:
        return client.ask(method, target, body)
    except (Closed, ConnectionError) as error:
        if client.holds():
            raise
        raise Told("between requests") from error


def good(answer: Answer, body: bytes) -> None:
    """See that an answer is whole and is this."""
    assert answer.status == 200 and answer.complete, (answer.status, answer.complete)
    assert answer.body == body, (answer.body[:80], body[:80])


def stuff(rnd: random.Random, most: int) -> bytes:
    """Return bytes of some length."""
    return rnd.randbytes(rnd.randint(0, most))


def sum_of(body: bytes) -> bytes:
    """Return what the page ``/digest`` answers to a body."""
    return f"{len(body)} {zlib.crc32(body)}".encode()


def keep_alive(server: Soaked, rnd: random.Random) -> int:
    """Ask one after another on a connection: pages, uploads, streams, what is not there, HEAD."""
    with server.connect() as client:
        for n in range(12):
            word = f"{rnd.randrange(10**9)}é"
            good(answer := ask(client, "GET", f"/page?n={quote(word)}"), f"page {word}".encode())
            if last(answer):
                return n + 1
        body = stuff(rnd, 20_000)
        good(answer := ask(client, "POST", "/digest", body), sum_of(body))
        if last(answer):
            return 13
        answer = ask(client, "GET", "/no-such-page")
        assert answer.status == 404
        if last(answer):
            return 14
        assert ask(client, "HEAD", "/page").body == b""
    return 15


def pipelined(server: Soaked, rnd: random.Random) -> int:
    """Send many requests at once; they are answered in order, up to the one that ends the connection."""
    count = rnd.choice((2, 16, 48, 150))
    with server.connect() as client:
        client.send(b"".join(b"GET /page?n=%d" % n + HOST + b"\r\n" for n in range(count)))
        for n in range(count):
            answer = client.answer()
            good(answer, b"page %d" % n)
            if last(answer):
                if n + 1 < count:
                    raise Told("amid pipelined requests")
                break
    return count


def chunked(server: Soaked, rnd: random.Random) -> int:
    """Upload in chunks of any length."""
    pieces = [piece for _ in range(rnd.randint(1, 20)) if (piece := stuff(rnd, 5_000))]
    with server.connect() as client:
        client.send(b"POST /digest" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        good(client.answer(), sum_of(b"".join(pieces)))
    return 1


def upload(server: Soaked, rnd: random.Random) -> int:
    """Upload a body whose length was told."""
    body = rnd.randbytes(200_000)
    with server.connect() as client:
        good(client.ask("POST", "/digest", body), sum_of(body))
    return 1


def expecting(server: Soaked, rnd: random.Random) -> int:
    """Wait for 100 (Continue) before the body is sent."""
    body = stuff(rnd, 10_000) + b"."
    with server.connect() as client:
        client.send(
            b"POST /digest" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert client.answer().status == 100
        client.send(body)
        good(client.answer(), sum_of(body))
    return 1


def streamed(server: Soaked, rnd: random.Random) -> int:
    """Read an answer that is streamed."""
    n = rnd.choice((1, 20, 300))
    with server.connect() as client:
        good(ask(client, "GET", f"/stream?n={n}"), PIECE * n)
    return 1


def later(server: Soaked, rnd: random.Random) -> int:
    """Wait for answers that take a while; several clients at once."""
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        client.request("GET", f"/sleep?ms={rnd.randrange(60)}")
    for client in clients:
        good(client.answer(), b"slept")
        client.close()
    return len(clients)


def fails(server: Soaked, rnd: random.Random) -> int:
    """Ask an application that raises, before its answer and amid it."""
    with server.connect() as client:
        assert client.ask("GET", "/fail").status == 500
    with server.connect() as client:
        answer = client.ask("GET", "/fail?begun")
        assert answer.status == 200 and not answer.complete and answer.body == PIECE
    return 2


def background(server: Soaked, rnd: random.Random) -> int:
    """Ask an application that works on behind its answer, and do not wait for it."""
    with server.connect() as client:
        good(client.ask("GET", "/background"), b"begun")
    return 1


BAD = (
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /\0" + HOST + b"\r\n", 400),
    (b"GET /" + HOST + b"X:\x01\r\n\r\n", 400),
    (b"POST /" + HOST + b"Content-Length: 1, 2\r\n\r\n", 400),
    (b"POST /digest" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST /digest" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    (b"GET /" + b"a" * 70_000 + HOST + b"\r\n", 414),
    (b"GET /" + HOST + b"A: " + b"b" * 70_000 + b"\r\n\r\n", 431),
)
"""Requests that are refused, and by which status."""


def bad(server: Soaked, rnd: random.Random) -> int:
    """Send what is no request, and see it refused, and the connection closed."""
    request, status = rnd.choice(BAD)
    with server.connect() as client:
        client.send(request)
        answer = client.answer()
        assert answer.status == status, (request[:60], answer.status)
        assert client.closed()
    return 1


def events(server: Soaked, rnd: random.Random) -> int:
    """Read some server-sent events, and leave."""
    with server.connect() as client:
        client.request("GET", "/events")
        text = client.until(b"data: 3\n\n")
        assert text.startswith(b"HTTP/1.1 200 ") and b"data: 0\n\n" in text
        if rnd.random() < 0.5:
            client.reset()
    return 1


def leave_amid_request(server: Soaked, rnd: random.Random) -> int:
    """Leave before, in and behind the head, and amid a body; in order or by a reset."""
    request = b"POST /digest" + HOST + b"Content-Length: 5000\r\n\r\n" + bytes(4000)
    with server.connect() as client:
        client.send(request[: rnd.choice((0, 7, 40, len(request) - 4000, len(request)))])
        if rnd.random() < 0.5:
            client.reset()
    return 0


def leave_amid_answer(server: Soaked, rnd: random.Random) -> int:
    """Leave while the application works, streams, or has failed amid its answer."""
    with server.connect() as client:
        client.request("GET", rnd.choice(("/sleep?ms=300", "/stream?n=2000", "/fail?begun", "/background")))
        time.sleep(rnd.choice((0.001, 0.01, 0.05)))
        if rnd.random() < 0.5:
            client.reset()
    return 0


def half_closed(server: Soaked, rnd: random.Random) -> int:
    """End our side after the request, and read the answer."""
    with server.connect() as client:
        client.request("GET", "/page?n=half", fields=[("Connection", "close")])
        if not server.secure:
            client.socket.shutdown(socket.SHUT_WR)
        good(client.answer(), b"page half")
        assert client.closed()
    return 1


def slow_writer(server: Soaked, rnd: random.Random) -> int:
    """Send a request in many pieces, with a pause after each."""
    request = b"GET /page?n=slow" + HOST + b"X-Long: " + b"x" * 50 + b"\r\n\r\n"
    with server.connect() as client:
        for at in range(0, len(request), 10):
            client.send(request[at : at + 10])
            time.sleep(0.02)
        good(client.answer(), b"page slow")
    return 1


def slow_reader(server: Soaked, rnd: random.Random) -> int:
    """Take long answers by and by, with little room for them in the kernel."""
    with server.connect(4096) as client:
        for n in range(3):
            client.request("GET", f"/stream?n={400 + n}")
            time.sleep(0.2)
            good(answer := client.answer(), PIECE * (400 + n))
            if last(answer):
                return n + 1
    return 3


SCENES: tuple[Scene, ...] = (
    *(keep_alive, pipelined, chunked, upload, expecting, streamed, later, fails, background, bad, events),
    *(leave_amid_request, leave_amid_answer, half_closed, slow_writer, slow_reader),
)
