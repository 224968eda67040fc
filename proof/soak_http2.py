"""What the soak asks for in HTTP/2: scenes of one connection with some streams, in which every answer is checked."""

from __future__ import annotations

import random

from harness import Closed
from http2_client import INTERNAL_ERROR, REFUSED_STREAM, Http2, Stream

from proof.soak_http import PIECE, Scene, Told, stuff, sum_of
from proof.soak_server import Soaked


def answered(client: Http2, stream: Stream, body: bytes) -> None:
    """Wait for an answer and see that it is this; streams behind the one that a GOAWAY has named are told to go."""
    try:
        client.answer(stream)
    except Closed as error:
        if client.goaways and not stream.status:
            raise Told("by a GOAWAY") from error
        raise
    if stream.reset == REFUSED_STREAM and client.goaways:
        raise Told("by a GOAWAY")
    assert stream.status == 200 and stream.complete, stream
    assert stream.body == body, (bytes(stream.body[:80]), body[:80])


def begin(client: Http2, rnd: random.Random) -> tuple[Stream, bytes]:
    """Begin a request of some kind; return its stream and the body that its answer must have."""
    kind, n = rnd.choice(("page", "sleep", "stream", "digest")), rnd.randrange(60)
    if kind == "page":
        return client.request("GET", f"/page?n={n}"), b"page %d" % n
    if kind == "sleep":
        return client.request("GET", f"/sleep?ms={n}"), b"slept"
    if kind == "stream":
        return client.request("GET", f"/stream?n={n}"), PIECE * n
    body = stuff(rnd, 5_000)
    return client.request("POST", "/digest", body), sum_of(body)


def streams(server: Soaked, rnd: random.Random) -> int:
    """Have several streams at once: pages, late answers, long ones, uploads."""
    with server.connect_http2() as client:
        begun = [begin(client, rnd) for _ in range(rnd.choice((3, 12, 30)))]
        for stream, body in begun:
            answered(client, stream, body)
    return len(begun)


def upload(server: Soaked, rnd: random.Random) -> int:
    """Upload more than the windows take at first."""
    body = rnd.randbytes(200_000)
    with server.connect_http2() as client:
        stream = client.request("POST", "/digest", body)
        answered(client, stream, sum_of(body))
    return 1


def resets(server: Soaked, rnd: random.Random) -> int:
    """Give streams up at any time; the others and the connection go on."""
    with server.connect_http2() as client:
        for _ in range(4):
            target = rnd.choice(("/sleep?ms=200", "/stream?n=900", "/events", "/background"))
            stream = client.open("GET", target, end=True)
            try:
                client.poll(rnd.choice((0.001, 0.02)))
            except Closed as error:
                if client.goaways and (stream.over or stream.number > client.goaways[-1][0]):
                    raise Told("by a GOAWAY") from error
                raise
            if not stream.over:
                client.cancel(stream)
        cut = client.open("POST", "/digest", [("content-length", "9")])
        client.cancel(cut)
        stream, body = begin(client, rnd)
        answered(client, stream, body)
    return 1


def fails(server: Soaked, rnd: random.Random) -> int:
    """Ask an application that raises, before its answer and amid it."""
    with server.connect_http2() as client:
        early, late = client.open("GET", "/fail", end=True), client.open("GET", "/fail?begun", end=True)
        client.until(lambda: early.over and late.over)
        assert early.status == 500 and early.complete, early
        assert late.status == 200 and late.reset == INTERNAL_ERROR, late
    return 2


def leave(server: Soaked, rnd: random.Random) -> int:
    """Close the connection amid streams, or send what is no frame."""
    with server.connect_http2() as client:
        for _ in range(5):
            begin(client, rnd)
        client.poll(0.01)
        if rnd.random() < 0.3:
            client.socket.sendall(b"\0\0\5\0\0\0\0\0\0never")  # DATA on no stream (RFC 9113 §6.1)
            client.rest()
            assert client.goaways and client.goaways[-1][1] != 0, client.goaways
    return 0


HTTP2_SCENES: tuple[Scene, ...] = (streams, upload, resets, fails, leave, streams)
