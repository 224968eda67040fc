"""What the soak asks for in HTTP/2, on WebSockets and of TLS."""

from __future__ import annotations

import random
import ssl
import time
from contextlib import closing

from harness import Client, Closed
from http2_client import INTERNAL_ERROR, REFUSED_STREAM, Http2, Stream
from websocket_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEFLATE,
    PING,
    TEXT,
    Deflater,
    Frame,
    Peer,
    close_frame,
    frame,
    reach,
)

from proof.soak_http import PIECE, Scene, Told, good, stuff, sum_of
from proof.soak_server import Soaked

GOING = (1001, 1012)
"""Codes of a close frame by which a server that stops says so."""


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
            client.poll(rnd.choice((0.001, 0.02)))
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


def message(peer: Peer) -> Frame:
    """Read a message; a close frame of a server that stops tells."""
    found = peer.next()
    if found.opcode == CLOSE and found.code in GOING:
        raise Told(f"by the code {found.code}")
    return found


def left(peer: Peer) -> None:
    """Close, and see the close frame returned, and then the connection closed."""
    peer.send(close_frame(1000))
    code = peer.closing()[0]
    if code in GOING:
        raise Told(f"by the code {code}")
    assert code == 1000 and peer.closed(), code


def echo(server: Soaked, rnd: random.Random) -> int:
    """Send messages whole and in fragments, with pings amid them, and get each back."""
    count = rnd.randint(1, 8)
    with closing(reach(server)) as peer:
        for n in range(count):
            data = stuff(rnd, rnd.choice((20, 2_000, 70_000)))
            cut = rnd.randint(0, len(data))
            if rnd.random() < 0.5:
                peer.binary(data)
            else:
                ping = frame(PING, b"%d" % n)
                parts = frame(BINARY, data[:cut], fin=False), ping, frame(CONTINUATION, data[cut:])
                peer.send(b"".join(parts))
            assert message(peer).payload == data
        peer.text("häßlich")
        assert message(peer) == Frame(TEXT, "häßlich".encode())
        left(peer)
    return count + 1


def deflate(server: Soaked, rnd: random.Random) -> int:
    """Send compressed messages, and get each back."""
    offer = rnd.choice((DEFLATE, f"{DEFLATE}; client_no_context_takeover; server_no_context_takeover"))
    with closing(reach(server, offer=offer)) as peer:
        compress = Deflater(peer.agreed)
        for n in range(6):
            text = (f"message {n} " * rnd.randint(1, 400)).encode()
            peer.send(frame(TEXT, compress(text), rsv=4))
            assert message(peer).payload == text
        left(peer)
    return 6


def ends(server: Soaked, rnd: random.Random) -> int:
    """End WebSockets in every other way: abruptly, by the application, by its failure, by a wrong frame; be denied."""
    way = rnd.randrange(5)
    if way == 0:
        with server.connect() as client:
            denied = Peer(client.socket)
            denied.ask_upgrade("/other")
            assert denied.answer().status == 403
            return 1
    with closing(reach(server)) as peer:
        if way == 1:
            peer.send(frame(BINARY, rnd.randbytes(3_000))[:1_000])
            peer.reset()
            return 0
        wrong = frame(3, b"no such kind")
        sent, code = {2: (b"close", 3001), 3: (b"fail", 1011), 4: (wrong, 1002)}[way]
        peer.send(sent if sent is wrong else frame(TEXT, sent))
        found = peer.closing()[0]
        if found in GOING:
            raise Told(f"by the code {found}")
        assert found == code, (found, code)
    return 1


def resumed(server: Soaked, rnd: random.Random) -> int:
    """Make a connection with each version of TLS, and resume its session with another."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = server.context(cached=False)
        context.minimum_version = context.maximum_version = version
        session = None
        for n in range(2):
            plain = server.dial_plain()
            connection = context.wrap_socket(plain, server_hostname="localhost", session=session)
            with Client(connection) as client:
                good(client.ask("GET", "/page?n=tls"), b"page tls")
                assert n == 0 or connection.session_reused or server.changing, "not resumed"
                session = connection.session
    return 4


def broken_handshake(server: Soaked, rnd: random.Random) -> int:
    """Begin a handshake and leave, or send what is none; plain HTTP is told so."""
    way = rnd.randrange(3)
    with Client(server.dial_plain()) as client:
        if way == 0:
            client.request("GET", "/page")
            assert client.answer().status == 400
            return 1
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = server.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            hello.do_handshake()
        except ssl.SSLWantReadError:
            first = outgoing.read()
        client.send(first[: rnd.choice((3, 100, len(first)))] if way == 1 else b"\x16\x03\x01\0\5nonsense")
        time.sleep(0.01)
        if rnd.random() < 0.5:
            client.reset()
    return 0


HTTP2_SCENES: tuple[Scene, ...] = (streams, upload, resets, fails, leave, streams)
WEBSOCKET_SCENES: tuple[Scene, ...] = (echo, deflate, ends)
TLS_SCENES: tuple[Scene, ...] = (resumed, broken_handshake)
