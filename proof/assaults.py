"""The attacks: what each sends, how many clients it has, and what may come of it."""

from __future__ import annotations

import itertools
import random
import ssl
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from proof.assault import Plan
from proof.http2_floods import END_HEADERS, END_STREAM, FLOODS, HEADERS, PREFACE, SETTINGS, frame

ROOT = Path(__file__).resolve().parent.parent

HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /" + HEAD
POST = b"POST /" + HEAD

CLEAR, H2, PROXY, TLS = "clear", "h2", "proxy", "tls"
"""What the attacked listener speaks: HTTP/1.1, HTTP/2 too, the PROXY header before it, TLS with both."""


@dataclass(frozen=True)
class Program:
    """An attack by a program.

    Args:
        command: May name `{port}`, `{seconds}` and `{connections}`.
        connections: How many it has open at once.
        says: A pattern of what it prints when it has attacked.
    """

    command: tuple[str, ...]
    connections: int
    says: str


@dataclass(frozen=True)
class Attack:
    """An attack, and what holds while it lasts.

    Args:
        name: A word for the command line.
        what: What it does, for a reader.
        force: Who does it.
        memory: How many MiB the server may grow.
        kept: How many MiB it may keep afterwards: free memory for the next requests.
        deadlines: The options that end its connections, one after the other; none where none is due to end.
        ends: Whether the server must end its connections, each soon after it began: the plan goes on without end.
        options: More options of the server's.
        speaks: What the attacked listener speaks.
    """

    name: str
    what: str
    force: Plan | Program
    memory: int = 16
    kept: int = 12
    deadlines: tuple[str, ...] = ()
    ends: bool = False
    options: tuple[str, ...] = ()
    speaks: str = CLEAR


def once(data: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """Return a client that sends this and no more."""
    return lambda: iter([data] if data else [])


def forever(first: bytes, then: bytes) -> Callable[[], Iterator[bytes]]:
    """Return a client that sends one piece, and another again and again."""
    return lambda: itertools.chain([first], itertools.repeat(then))


ENDED = r"Exit status:.*(No open connections left|[Hh]it test time limit|[Cc]ancel)"
"""What slowhttptest says in the end, if it had a server."""


def slowhttptest(mode: str, connections: int, *more: str) -> Program:
    """Return an attack by slowhttptest, which opens 500 connections a second and writes to each every second."""
    usual = ("-c", "{connections}", "-r", "500", "-i", "1", "-p", "10", "-l", "{seconds}")
    usual += ("-u", "http://127.0.0.1:{port}/")
    return Program(("slowhttptest", mode, *usual, *more), connections, ENDED)


def names() -> Iterator[bytes]:
    """Good requests, with names of fields that never came before."""
    for start in itertools.count(step=98):
        fields = "".join(f"x{number}: {number}\r\n" for number in range(start, start + 98))
        yield GET + fields.encode() + b"\r\n"


def garbage() -> Iterator[bytes]:
    """Bytes without sense, others for each client, the same in each run."""
    source = random.Random(next(_clients))
    while True:
        yield source.randbytes(4096)


_clients = itertools.count()


@cache
def corpora() -> tuple[bytes, ...]:
    """Return the requests of gunicorn's and llhttp's tests, of which there are some 300, good and bad."""
    sys.path.insert(0, str(ROOT / "tests" / "corpora"))
    import corpus_gunicorn
    import corpus_llhttp

    folder = ROOT / "build" / "corpora"
    (requests,) = folder.glob("gunicorn-*/tests/requests")
    (fixtures,) = folder.glob("aiohttp-*/vendor/llhttp/test/request")
    cases = [*corpus_gunicorn.cases(requests), *corpus_llhttp.cases(fixtures)]
    return tuple(case.data for case in cases)


def replayed() -> Iterator[bytes]:
    """One request of the corpora, the next for each client, then one that ends the connection if there still is one."""
    cases = corpora()
    yield cases[next(_clients) % len(cases)]
    yield b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


HTTP1 = (
    Attack(
        "silent", "connections without a byte", Plan(once(), 2000), 16, deadlines=("timeout-first-request",)
    ),
    Attack(
        "slowloris",
        "slowhttptest -H: heads that never end",
        slowhttptest("-H", 1000),
        32,
        deadlines=("timeout-request-head",),
    ),
    Attack(
        "slow-body",
        "slowhttptest -B: bodies that never end",
        slowhttptest("-B", 1000, "-s", "100000"),
        48,
        deadlines=("timeout-request-body",),
    ),
    Attack(
        "slow-read",
        "slowhttptest -X: answers of 16 MiB, read in sips",
        Program(
            (
                *("slowhttptest", "-X", "-c", "{connections}", "-r", "500", "-l", "{seconds}", "-p", "10"),
                *("-n", "1", "-z", "32", "-w", "512", "-y", "1024", "-u", "http://127.0.0.1:{port}/large"),
            ),
            500,
            ENDED,
        ),
        192,
    ),
    Attack(
        "ranges", "slowhttptest -R: heads with 2,000 ranges", slowhttptest("-R", 500, "-a", "1", "-b", "2000")
    ),
    Attack(
        "range-flood",
        "requests for 8,000 ranges, again and again",
        Plan(forever(b"", GET + b"Range: bytes=" + b"0-," * 16_000 + b"1-1\r\n\r\n"), 50, again=True),
    ),
    Attack(
        "chunks",
        "chunked bodies of a byte a second",
        Plan(forever(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"), 1000, every=1),
        48,
        deadlines=("timeout-request-body",),
    ),
    Attack(
        "stalled",
        "answers of 16 MiB of which nothing is read",
        Plan(once(b"GET /large" + HEAD + b"\r\n"), 300, reads=False),
        128,
        deadlines=("timeout-write",),
    ),
    Attack(
        "pipelined",
        "pipelined requests, no answer of which is read",
        Plan(forever(b"", GET + b"\r\n"), 100, again=True, reads=False),
        64,
    ),
    Attack(
        "long-line",
        "request lines without end",
        Plan(forever(b"GET /", b"a" * 1000), 50, again=True),
        ends=True,
    ),
    Attack(
        "long-head",
        "heads without end",
        Plan(forever(GET, b"A: " + b"b" * 1000 + b"\r\n"), 50, again=True),
        ends=True,
    ),
    Attack("fields", "fields without end", Plan(forever(GET, b"a:b\r\n" * 50), 50, again=True), ends=True),
    Attack("names", "98 new names of fields in each request", Plan(names, 50, again=True)),
    Attack("corpora", "the corpora of requests, bad and good", Plan(replayed, 200, again=True), ends=True),
    Attack("garbage", "bytes without sense", Plan(garbage, 200, again=True), ends=True),
    Attack(
        "forwarded",
        "Forwarded of 60 KB by a peer that is not trusted",
        Plan(
            forever(b"", GET + b"Forwarded: " + b"for=203.0.113.9, " * 3500 + b"for=a\r\n\r\n"),
            50,
            again=True,
        ),
        options=("--forwarded-allow-ips", "192.0.2.1"),
    ),
    Attack(
        "forwarded-trusted",
        "the same by a trusted peer",
        Plan(
            forever(b"", GET + b"Forwarded: " + b"for=127.0.0.1, " * 3900 + b"for=a\r\n\r\n"), 50, again=True
        ),
    ),
    Attack(
        "proxy",
        "headers of the PROXY protocol that never end",
        Plan(once(b"PROXY TCP4 1.1"), 1000),
        16,
        deadlines=("timeout-first-request",),
        speaks=PROXY,
    ),
)


def opening(flood: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """Begin a connection of HTTP/2, then flood it."""
    yield PREFACE + frame(SETTINGS, 0, 0)
    yield from flood()


def windowless() -> Iterator[bytes]:
    """A hundred requests for a large answer on one connection, which leaves no window for any of it."""
    yield PREFACE + frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0")
    head = b"\x82\x04\x06/large\x86\x41\x01a"
    yield b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, head) for number in range(100))


HTTP2 = (
    *(
        Attack(
            f"h2-{name}",
            f"HTTP/2: {name.replace('-', ' ')}",
            Plan(partial(opening, flood), 20, again=True),
            ends=True,
            speaks=H2,
        )
        for name, flood in FLOODS.items()
    ),
    Attack(
        "h2-windowless",
        "HTTP/2: 100 answers on each connection, and no window for them",
        Plan(windowless, 30),
        256,
        32,
        deadlines=("timeout-write", "timeout-keep-alive"),
        speaks=H2,
    ),
)


UPGRADE = (
    b"GET /socket" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def piece(first: int, payload: bytes = b"", announced: int | None = None) -> bytes:
    """Return a frame of WebSocket whose mask is 0.

    Args:
        first: Its first byte: the kind, and whether it is the last of its message.
        payload: What it brings.
        announced: The length that it says it has, if that is another.
    """
    size = len(payload) if announced is None else announced
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + bytes(4) + payload


ANSWERED = 0.2
"""Seconds that a client waits for the answer to its handshake: it may not send much before."""


def fragments() -> Iterator[bytes]:
    """A message in frames that hold nothing, without end."""
    yield UPGRADE + b"\r\n"
    yield piece(0x02)
    yield from itertools.repeat(piece(0x00))


def announced() -> Iterator[bytes]:
    """The head of a message as large as it may be."""
    yield UPGRADE + b"\r\n"
    yield piece(0x82, announced=16 << 20)


@cache
def zeros(mebibytes: int) -> bytes:
    """Return a compressed message of so many MiB of zeros, about a thousandth of that in size."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(mebibytes))
    packed += deflate.flush(zlib.Z_FULL_FLUSH)
    return piece(0xC2, packed.removesuffix(b"\0\0\xff\xff"))


def bombs(mebibytes: int) -> Callable[[], Iterator[bytes]]:
    """Return a client that sends compressed messages of zeros, one after another."""
    return lambda: itertools.chain([UPGRADE + DEFLATE + b"\r\n"], itertools.repeat(zeros(mebibytes)))


WEBSOCKET = (
    Attack(
        "ws-bomb",
        "WebSocket: messages of 64 MiB of zeros, compressed",
        Plan(bombs(64), 20, pause=ANSWERED, again=True, stays=0.5),
        64,
        24,
    ),
    Attack(
        "ws-inflate",
        "WebSocket: messages of 15 MiB of zeros, compressed, which may be so large",
        Plan(bombs(15), 4, pause=ANSWERED, again=True),
        256,
    ),
    Attack(
        "ws-fragments",
        "WebSocket: fragments without a byte",
        Plan(fragments, 20, pause=ANSWERED, again=True),
        ends=True,
    ),
    Attack(
        "ws-lengths",
        "WebSocket: 16 MiB announced, and nothing sent",
        Plan(announced, 1000, pause=ANSWERED),
        32,
        deadlines=("ws-ping-interval", "ws-ping-timeout"),
    ),
    Attack(
        "ws-pings",
        "WebSocket: pings, no pong of which is read",
        Plan(forever(UPGRADE + b"\r\n", piece(0x89)), 20, pause=ANSWERED, again=True, reads=False),
        ends=True,
    ),
)


@cache
def client_hello() -> bytes:
    """Return the first message of a handshake of TLS."""
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake has nothing to wait for")


def hello() -> Iterator[bytes]:
    """Begin a handshake of TLS, and say no more."""
    yield client_hello()


def bytewise() -> Iterator[bytes]:
    """Requests with a record for each byte."""
    while True:
        yield from (bytes([byte]) for byte in GET + b"\r\n")


RENEGOTIATE = (
    "for client in 1 2 3 4; do (while :; do (sleep 0.1; echo R; sleep 0.5) | "
    'openssl s_client -tls1_2 -connect "127.0.0.1:{port}" 2>&1 | grep ^RENEGOTIATING; done) & done; wait'
)

SECURE = (
    Attack(
        "tls-begun",
        "TLS: handshakes begun and left",
        Plan(hello, 1000),
        64,
        deadlines=("ssl-handshake-timeout",),
        speaks=TLS,
    ),
    Attack(
        "tls-handshakes",
        "TLS: handshakes begun, and left when the server has signed",
        Plan(hello, 100, again=True, leaves=True),
        32,
        speaks=TLS,
    ),
    Attack(
        "tls-renegotiation",
        "TLS 1.2: attempts to negotiate anew",
        Program(("timeout", "{seconds}", "bash", "-c", RENEGOTIATE), 4, "RENEGOTIATING"),
        speaks=TLS,
    ),
    Attack("tls-bytes", "TLS: records of a byte", Plan(bytewise, 50, again=True, tls=True), speaks=TLS),
    Attack(
        "tls-plain",
        "plain HTTP at the port of TLS",
        Plan(once(GET + b"\r\n"), 100, again=True),
        ends=True,
        speaks=TLS,
    ),
)

ATTACKS = (*HTTP1, *HTTP2, *WEBSOCKET, *SECURE)
