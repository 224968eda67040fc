"""The workloads: one entry for each row of the table, with its servers and its targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Metric = Literal["cpu", "user", "p99"]

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


@dataclass(frozen=True)
class Target:
    """A bound on the ratio of one server's figure to another's."""

    server: str
    rival: str
    limit: float
    metric: Metric = "cpu"


@dataclass(frozen=True)
class Workload:
    """What is sent, over how many connections, what must come back, and who is measured."""

    row: str
    title: str
    servers: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    app: str = "hello"
    """A name in `bench.apps`."""
    request: bytes = BROWSER
    body: bytes = b"Hello, world!"
    """The answer's body, repeated to `length` bytes when that is given."""
    length: int | None = None
    connections: int = 64
    depth: int = 1
    close: bool = False


def at_most(limit: float, rival: str, *servers: str, metric: Metric = "cpu") -> tuple[Target, ...]:
    """Give the same target to several servers."""
    return tuple(Target(server, rival, limit, metric) for server in servers)


ASYNCIO = ("tricorn-asyncio", "tricorn-uvloop")

WORKLOADS = (
    Workload(
        row="1",
        title="13-byte answer, 10 request headers, 64 keep-alive connections",
        servers=(*ASYNCIO, "uvicorn", "granian", "peregrine"),
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
        servers=(*ASYNCIO, "uvicorn", "peregrine"),
        request=RICH,
        targets=at_most(0.8, "peregrine", *ASYNCIO, metric="user"),
    ),
    Workload(
        row="2",
        title="row 1 under trio",
        servers=("tricorn-trio", "tricorn-uvloop", "hypercorn-trio", "pyvoy-trio"),
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
        servers=(*ASYNCIO, "tricorn-trio", "uvicorn", "peregrine"),
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
        servers=(*ASYNCIO, "uvicorn", "peregrine"),
        depth=16,
        targets=at_most(0.25, "peregrine", *ASYNCIO),
    ),
    Workload(
        row="11",
        title="the application suspends once: `sleep(0)`",
        servers=(*ASYNCIO, "tricorn-trio", "tricorn-curio", "uvicorn", "peregrine", "hypercorn-trio"),
        app="sleep0",
        targets=(
            *at_most(0.5, "uvicorn", *ASYNCIO),
            *at_most(1.0, "peregrine", *ASYNCIO),
            *at_most(1 / 20, "hypercorn-trio", "tricorn-trio"),
        ),
    ),
    Workload(
        row="17",
        title="what the binding costs: row 1 beside the same server with a handler in C",
        servers=("tricorn-uvloop", "limit"),
        targets=at_most(2.5, "limit", "tricorn-uvloop", metric="user"),
    ),
)
