"""The workloads: one entry for each row of the table, with its servers and its targets."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from bench.apps import CHUNK, DOWNLOAD, LARGE

BROWSER = (
    b"GET / HTTP/1.1\r\n"
    b"Host: localhost:8000\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Connection: keep-alive\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"Sec-Fetch-Dest: document\r\n"
    b"Sec-Fetch-Mode: navigate\r\n"
    b"Sec-Fetch-Site: none\r\n"
    b"\r\n"
)

ONCE = BROWSER.replace(b"Connection: keep-alive", b"Connection: close")

COOKIE = b"session=" + b"0123456789abcdef" * 18 + b"beef"

RICH = (
    BROWSER[:-2]
    + b"Sec-Fetch-User: ?1\r\n"
    + b"Priority: u=0, i\r\n"
    + b"DNT: 1\r\n"
    + b"Sec-GPC: 1\r\n"
    + b"Cache-Control: max-age=0\r\n"
    + b"Referer: http://localhost:8000/products/list?page=2&sort=price\r\n"
    + b'If-None-Match: W/"5d8c72a5edda8d6a-b2f1"\r\n'
    + b"X-Requested-With: XMLHttpRequest\r\n"
    + b"X-Request-Id: 7b1a4d0e-53f7-4c39-9f5c-0d6c2e1f8a11\r\n"
    + b"Sec-CH-UA-Mobile: ?0\r\n"
    + b"Sec-CH-UA-Platform: Linux\r\n"
    + b"Cookie: "
    + COOKIE
    + b"\r\n\r\n"
)


POSTED = b"0123456789" * 1024

POST = (
    BROWSER.replace(b"GET / ", b"POST / ")[:-2]
    + b"Content-Type: application/octet-stream\r\n"
    + b"Content-Length: 10240\r\n\r\n"
    + POSTED
)

UPLOAD = 500 << 20
"""The bytes of an upload: 500 MiB."""

STREAMED = (
    BROWSER.replace(b"GET / ", b"POST / ")[:-2]
    + b"Content-Type: application/octet-stream\r\n"
    + b"Content-Length: %d\r\n\r\n" % UPLOAD
)

UPGRADE = (
    b"GET /chat HTTP/1.1\r\n"
    b"Host: localhost:8000\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"\r\n"
)

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What the key in `UPGRADE` is to be answered with: both are the example of RFC 6455, section 1.3."""

OFFER = UPGRADE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heath",
    "inlet",
    "jetty",
    "knoll",
    "larch",
    "maple",
    "north",
    "ocean",
    "pearl",
]


def telegram(size: int) -> bytes:
    """Make a text of so many bytes: JSON records as applications send them, about a quarter when deflated."""
    choice = random.Random(12)
    records = []
    for number in range(1 + size // 64):
        text = " ".join(choice.choices(WORDS, k=4))
        price = choice.randrange(1, 100_000) / 100
        records.append(
            f'{{"id":{100_000 + number},"price":{price},"user":"{choice.choice(WORDS)}","text":"{text}"}}'
        )
    return f"[{','.join(records)}]".encode()[:size]


JSON = b'{"message":"Hello, world!"}'


def with_fields(n: int) -> bytes:
    """Make a request with `n` fields; the first is Host."""
    more = b"".join(b"X-Field-Number-%d: the value of it\r\n" % i for i in range(1, n))
    return b"GET / HTTP/1.1\r\nHost: localhost:8000\r\n" + more + b"\r\n"


def with_chunks(n: int, size: int = 16) -> bytes:
    """Make a request whose body has `n` chunks of `size` bytes."""
    start = b"POST / HTTP/1.1\r\nHost: localhost:8000\r\nTransfer-Encoding: chunked\r\n\r\n"
    return start + b"%x\r\n%b\r\n" % (size, b"x" * size) * n + b"0\r\n\r\n"


@dataclass(frozen=True)
class Target:
    """A bound on the ratio of one server's figure to another's, or on the figure itself when there is no rival."""

    server: str
    rival: str
    limit: float
    metric: str = "cpu"


@dataclass(frozen=True)
class Point:
    """A size at which a growth is measured: what changes in the workload, and two numbers of requests.

    The difference of what both numbers cost leaves out start and stop.
    """

    size: int
    changes: dict[str, Any]
    few: int
    many: int

    def of(self, workload: Workload) -> Workload:
        """Return the workload at this size."""
        return replace(workload, **self.changes)


@dataclass(frozen=True)
class Workload:
    """What is sent, over how many connections, what must come back, how it is measured, and on whom."""

    row: str
    title: str
    servers: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    kind: str = "requests"
    """A name in `bench.kinds`."""
    app: str = "apps:hello"
    """A module of `bench` and a name in it."""
    request: bytes = BROWSER
    body: bytes = b"Hello, world!"
    """The answer's body, repeated to `length` bytes when that is given."""
    length: int | None = None
    connections: int = 64
    depth: int = 1
    close: bool = False
    upload: int = 0
    """Bytes that follow the request as its body, not kept anywhere."""
    pair: bool = False
    """Whether the server has two workers."""
    tls: bool = False
    http2: bool = False
    """Whether HTTP/2 is spoken, in clear text; `depth` is the streams that each connection keeps open."""
    sockets: tuple[str, ...] | None = None
    """Of WebSockets: the switches of `load_ws.c`; then `request` opens a socket, and `body` is the message."""
    packages: tuple[str, ...] = ()
    """Distributions that the application needs and every server gets."""
    points: tuple[Point, ...] = ()
    """The sizes of a growth."""
    marginal: bool = False
    """Whether a growth is that of one further unit's cost, not that of a request's."""


def at_most(limit: float, rival: str, *servers: str, metric: str = "cpu") -> tuple[Target, ...]:
    """Give the same target to several servers."""
    return tuple(Target(server, rival, limit, metric) for server in servers)


ASYNCIO = ("tricorn-asyncio", "tricorn-uvloop")
OWN = (*ASYNCIO, "tricorn-trio", "tricorn-curio")
TRIO = ("hypercorn-trio", "pyvoy-trio")
PEERS = ("uvicorn", "granian", "fastpysgi", "peregrine")
ALL = (*PEERS, "gunicorn", "daphne", "h2corn", "saltare")
FRAMEWORKS = ("fastapi==0.165.0", "starlette==1.10.0")

SLOW_READER = 262_144 + len(CHUNK) + 32_768
"""What a slow reader may cost: the limit of the send buffer, one message that passed it, and what a request needs."""

SPEED = (
    Workload(
        row="1",
        title="13-byte answer, 10 request headers, 64 keep-alive connections",
        servers=(*ASYNCIO, *ALL),
        targets=(
            *at_most(0.38, "uvicorn", *ASYNCIO),
            *at_most(0.5, "granian", *ASYNCIO),
            *at_most(0.9, "peregrine", *ASYNCIO),
            *at_most(0.75, "peregrine", *ASYNCIO, metric="user"),
        ),
    ),
    Workload(
        row="1b",
        title="the same with 22 request headers, one a 300-byte cookie",
        servers=(*ASYNCIO, *PEERS),
        request=RICH,
        targets=at_most(0.8, "peregrine", *ASYNCIO, metric="user"),
    ),
    Workload(
        row="2",
        title="row 1 under trio",
        servers=("tricorn-trio", "tricorn-uvloop", *TRIO),
        targets=(
            *at_most(1.15, "tricorn-uvloop", "tricorn-trio"),
            *at_most(1 / 40, "hypercorn-trio", "tricorn-trio"),
            *at_most(1 / 5, "pyvoy-trio", "tricorn-trio"),
        ),
    ),
    Workload(
        row="3",
        title="row 1 under curio",
        servers=("tricorn-curio", "tricorn-uvloop"),
        targets=at_most(1.3, "tricorn-uvloop", "tricorn-curio"),
    ),
    Workload(
        row="4",
        title="one connection, one request after another",
        servers=(*OWN, *ALL),
        connections=1,
        targets=(
            *at_most(0.8, "uvicorn", *ASYNCIO),
            *at_most(0.95, "peregrine", *ASYNCIO),
            *at_most(1.5, "tricorn-uvloop", "tricorn-trio"),
            *at_most(1.0, "uvicorn", *ASYNCIO, metric="p99"),
        ),
    ),
    Workload(
        row="5",
        title="16 requests pipelined on each of 64 connections",
        servers=(*ASYNCIO, *PEERS),
        depth=16,
        targets=at_most(0.25, "peregrine", *ASYNCIO),
    ),
    Workload(
        row="6a",
        title="FastAPI: a small JSON object, 64 connections",
        servers=(*ASYNCIO, *ALL),
        app="frameworks:fastapi",
        packages=FRAMEWORKS,
        body=JSON,
        targets=(*at_most(0.53, "uvicorn", *ASYNCIO), *at_most(0.97, "peregrine", *ASYNCIO)),
    ),
    Workload(
        row="6b",
        title="Starlette: a small JSON object, 64 connections",
        servers=(*ASYNCIO, *PEERS),
        app="frameworks:starlette",
        packages=FRAMEWORKS,
        body=JSON,
        targets=(*at_most(0.5, "uvicorn", *ASYNCIO), *at_most(0.97, "peregrine", *ASYNCIO)),
    ),
    Workload(
        row="7",
        title="POST of 10 KiB, read with `receive()` and echoed, 64 connections",
        servers=(*ASYNCIO, "tricorn-trio", *ALL, *TRIO),
        app="apps:echo",
        request=POST,
        body=POSTED,
        targets=(*at_most(0.4, "uvicorn", *ASYNCIO), *at_most(0.95, "peregrine", *ASYNCIO)),
    ),
    Workload(
        row="8",
        title="upload of 500 MiB, streamed and discarded, one connection: CPU time, and how memory grows",
        servers=(*OWN, *ALL, *TRIO),
        kind="upload",
        app="apps:tally",
        request=STREAMED,
        upload=UPLOAD,
        body=b"%013d" % UPLOAD,
        connections=1,
        targets=(*at_most(0.7, "uvicorn", *ASYNCIO), *at_most(2 << 20, "", *OWN, metric="grown")),
    ),
    Workload(
        row="9a",
        title="download of 500 MiB in `send()`s of 64 KiB, one connection",
        servers=(*ASYNCIO, "tricorn-trio", *ALL, *TRIO),
        kind="bytes",
        app="apps:download",
        body=CHUNK,
        length=DOWNLOAD,
        connections=1,
        targets=(*at_most(0.75, "uvicorn", *ASYNCIO), *at_most(0.95, "peregrine", *ASYNCIO)),
    ),
    Workload(
        row="9b",
        title="100 KiB answers, sent in one piece, 64 connections",
        servers=(*ASYNCIO, "tricorn-trio", *ALL, *TRIO),
        app="apps:large",
        body=LARGE,
        targets=(*at_most(0.75, "uvicorn", *ASYNCIO), *at_most(0.95, "peregrine", *ASYNCIO)),
    ),
    Workload(
        row="9c",
        title="50 readers that take nothing of an endless download: memory for each, and what comes back",
        servers=(*OWN, *ALL, *TRIO),
        kind="stall",
        app="apps:produce",
        connections=50,
        targets=at_most(SLOW_READER, "", *OWN, metric="bytes"),
    ),
    Workload(
        row="10",
        title="one request for each connection, 64 at once",
        servers=(*ASYNCIO, "tricorn-trio", *ALL, *TRIO),
        request=ONCE,
        close=True,
        targets=at_most(0.65, "uvicorn", *ASYNCIO),
    ),
    Workload(
        row="11",
        title="the application suspends once: `sleep(0)`",
        servers=(*OWN, *ALL, *TRIO),
        app="apps:sleep0",
        targets=(
            *at_most(0.5, "uvicorn", *ASYNCIO),
            *at_most(1.0, "peregrine", *ASYNCIO),
            *at_most(1 / 20, "hypercorn-trio", "tricorn-trio"),
        ),
    ),
    Workload(
        row="15",
        title="5,000 idle keep-alive connections after one request: memory for each, and what comes back",
        servers=(*OWN, "limit", *ALL, *TRIO),
        kind="idle",
        connections=5000,
        targets=(*at_most(400, "", *OWN, metric="bytes"), *at_most(0.1, "", *OWN, metric="kept")),
    ),
    Workload(
        row="17",
        title="what the binding costs: row 1 beside the same server with a handler in C",
        servers=("tricorn-uvloop", "limit"),
        targets=at_most(2.5, "limit", "tricorn-uvloop", metric="user"),
    ),
)

ECHOING = (*OWN, "limit", "uvicorn", "peregrine", "hypercorn-trio")
BROADCASTING = ("tricorn-uvloop", "tricorn-uvloop-loop", *OWN[:1], *OWN[2:], "uvicorn")


def echo(row: str, size: str, message: bytes, *switches: str) -> Workload:
    """Make the workload of a message that comes back, on 64 WebSockets."""
    deflated = "deflate" in switches
    return Workload(
        row=row,
        title=f"WebSocket: a text of {size} and its echo, 64 sockets, {'with' if deflated else 'without'} deflate",
        servers=ECHOING if deflated else (*ECHOING, "granian"),
        kind="messages",
        app="apps:socket_echo",
        request=OFFER if deflated else UPGRADE,
        body=message,
        sockets=switches,
        targets=(
            *at_most(0.4, "uvicorn", *ASYNCIO),
            *at_most(1 / 20, "hypercorn-trio", "tricorn-trio"),
        ),
    )


def fan_out(row: str, kib: int, *switches: str) -> Workload:
    """Make the workload of a message that every one of 1,000 WebSockets gets."""
    deflated = "deflate" in switches
    return Workload(
        row=row,
        title=f"WebSocket: a text of {kib} KiB to 1,000 sockets, {'with' if deflated else 'without'} deflate",
        servers=BROADCASTING,
        kind="broadcasts",
        app="apps:socket_broadcast",
        request=OFFER if deflated else UPGRADE,
        body=telegram(1024 * kib),
        connections=1000,
        sockets=("broadcast", *switches),
        targets=(*at_most(1 / 10, "uvicorn", *OWN), *at_most(1 / 10, "uvicorn", *OWN, metric="user")),
    )


SOCKETS = (
    echo("12a", "64 bytes", telegram(64)),
    echo("12b", "64 bytes", telegram(64), "deflate"),
    echo("12c", "64 KiB", telegram(65536)),
    echo("12d", "64 KiB", telegram(65536), "deflate"),
    fan_out("12e", 1),
    fan_out("12f", 1, "deflate"),
    fan_out("12g", 16, "deflate"),
    Workload(
        row="16",
        title="5,000 idle WebSockets after one echo, deflate agreed on: memory for each, and what comes back",
        servers=(*OWN, "limit", "uvicorn", "peregrine", "hypercorn-trio"),
        kind="idle",
        app="apps:socket_echo",
        request=OFFER,
        body=telegram(64),
        connections=5000,
        sockets=("deflate", "fresh"),
        targets=(
            *at_most(7168, "", "tricorn-uvloop", metric="bytes"),
            *at_most(1024, "", "limit", metric="bytes"),
        ),
    ),
)

ENCRYPTED = (
    Workload(
        row="13a",
        title="row 1 over TLS 1.3",
        servers=(*OWN, "uvicorn", "granian", "hypercorn-trio", "nginx"),
        tls=True,
        targets=(*at_most(0.5, "uvicorn", *ASYNCIO), *at_most(1.15, "tricorn-uvloop", "tricorn-trio")),
    ),
    Workload(
        row="13b",
        title="TLS 1.3 handshakes: a connection for each request, no session resumed",
        servers=(*OWN, "uvicorn", "granian", "nginx"),
        request=ONCE,
        connections=16,
        close=True,
        tls=True,
        targets=at_most(1 / 0.7, "nginx", *OWN),
    ),
    Workload(
        row="15b",
        title="row 15 over TLS 1.3, 1,000 connections",
        servers=(*OWN, "uvicorn", "granian", "nginx"),
        kind="idle",
        connections=1000,
        tls=True,
        targets=(*at_most(20480, "", *OWN, metric="bytes"), *at_most(0.1, "", *OWN, metric="kept")),
    ),
)

STREAMS = (
    Workload(
        row="14",
        title="row 1 over HTTP/2 in clear text, 8 connections with 32 streams each",
        servers=(*OWN, "limit", "granian", "h2corn", "hypercorn", "hypercorn-trio"),
        connections=8,
        depth=32,
        http2=True,
        targets=(
            *at_most(0.8, "granian", *ASYNCIO),
            *at_most(1 / 10, "hypercorn", *ASYNCIO),
            *at_most(1 / 10, "hypercorn-trio", "tricorn-trio"),
        ),
    ),
)

SHARED = (
    Workload(
        row="19",
        title="two workers on two cores, 100 connections: the share of the busier worker",
        servers=(*OWN, "uvicorn", "granian", "peregrine", "gunicorn", "h2corn", "saltare", "hypercorn-trio"),
        kind="spread",
        app="apps:worker",
        connections=100,
        pair=True,
        targets=at_most(0.55, "", *OWN, metric="share"),
    ),
)

COUNTED = ("limit", "tricorn-asyncio")


def connections(n: int) -> Point:
    """Make the point of `n` connections, each of which is served several times."""
    few = max(n, 1000)
    return Point(n, {"connections": n}, few, 3 * few)


CHUNKED = 1 << 20
"""The bytes of a body that comes in chunks of several sizes."""


def chunks(n: int) -> Point:
    """Make the point of a body in `n` chunks."""
    return Point(n, {"request": with_chunks(n, CHUNKED // n)}, 2, 6)


def fragments(n: int, few: int) -> Point:
    """Make the point of a message in `n` frames of 16 bytes."""
    return Point(n, {"sockets": (f"fragments={n}",), "body": telegram(16 * n)}, few, 3 * few)


GROWTH = (
    Workload(
        row="18a",
        title="growth from 64 to 10,000 connections: instructions of a request",
        servers=COUNTED,
        kind="growth",
        points=tuple(connections(n) for n in (64, 1000, 10_000)),
        targets=at_most(1.2, "", *COUNTED, metric="growth"),
    ),
    Workload(
        row="18b",
        title="growth from 1 to 100 request headers: instructions of a further one",
        servers=COUNTED,
        kind="growth",
        connections=1,
        points=tuple(Point(n, {"request": with_fields(n)}, 300, 900) for n in (1, 10, 100)),
        marginal=True,
        targets=at_most(1.2, "", *COUNTED, metric="growth"),
    ),
    Workload(
        row="18c",
        title="growth from 1 to 1,000 pipelined requests: instructions of a request",
        servers=COUNTED,
        kind="growth",
        connections=1,
        points=tuple(Point(n, {"depth": n}, 1000, 3000) for n in (1, 10, 100, 1000)),
        targets=at_most(1.2, "", *COUNTED, metric="growth"),
    ),
    Workload(
        row="18d",
        title="growth from 1 to 100,000 chunks of 16 bytes: instructions of a further one",
        servers=COUNTED,
        kind="growth",
        app="apps:sink",
        connections=1,
        points=tuple(
            Point(n, {"request": with_chunks(n)}, few, 3 * few)
            for n, few in ((1, 300), (1000, 100), (100_000, 2))
        ),
        marginal=True,
        targets=at_most(1.2, "", *COUNTED, metric="growth"),
    ),
    Workload(
        row="18e",
        title="growth from 64 to 10,000 connections: CPU time of a request, with the kernel's",
        servers=("limit", *OWN, "uvicorn", "peregrine"),
        kind="crowd",
        points=tuple(connections(n) for n in (64, 1000, 10_000)),
        targets=(
            *at_most(1.2, "", *OWN, metric="growth"),
            *at_most(1.2, "limit", *OWN, metric="growth"),
        ),
    ),
)

SIZES = (
    Workload(
        row="18f",
        title="growth from 256 chunks of 4 KiB to 65,536 of 16 bytes in a body of 1 MiB: instructions of a further one",
        servers=COUNTED,
        kind="growth",
        app="apps:sink",
        connections=1,
        points=tuple(chunks(n) for n in (256, 4096, 65_536)),
        marginal=True,
        targets=at_most(1.2, "", *COUNTED, metric="growth"),
    ),
    Workload(
        row="18g",
        title="growth from 10 to 10,000 fragments of 16 bytes of a WebSocket message: instructions of a further one",
        servers=COUNTED,
        kind="growth",
        app="apps:socket_echo",
        request=UPGRADE,
        body=telegram(16),
        connections=1,
        sockets=(),
        points=tuple(fragments(n, few) for n, few in ((10, 300), (100, 300), (1000, 100), (10_000, 10))),
        marginal=True,
        targets=at_most(1.2, "", *COUNTED, metric="growth"),
    ),
    Workload(
        row="18h",
        title="growth from 1 to 100 streams of HTTP/2 at once: instructions of a request",
        servers=COUNTED,
        kind="growth",
        connections=1,
        http2=True,
        points=tuple(Point(n, {"depth": n}, 1000, 3000) for n in (1, 10, 100)),
        targets=at_most(1.2, "", *COUNTED, metric="growth"),
    ),
)

WORKLOADS = (*SPEED, *SOCKETS, *ENCRYPTED, *STREAMS, *GROWTH, *SIZES, *SHARED)

MAIN_ROWS = ("1", "1b", "2", "5", "6a", "7", "11", "17")
"""The rows of a quick run and of the small plot."""
