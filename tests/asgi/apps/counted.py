"""An application that takes every path through the binding, and tells how many references a debug Python counts."""

from __future__ import annotations

import gc
import sys
from typing import Any

import aio
from awaitables import WAYS
from kit import Exchange, application, as_routes

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"answer"}
WRONG: list[Any] = [
    None,
    {},
    {"type": 3},
    {"type": "http.response.other"},
    {"type": "http.response.start"},
    {"type": "http.response.start", "status": "200"},
    {"type": "http.response.start", "status": 2**80},
    {"type": "http.response.start", "status": 200, "headers": 3},
    {"type": "http.response.start", "status": 200, "headers": [3]},
    {"type": "http.response.start", "status": 200, "headers": [(b"name",)]},
    {"type": "http.response.start", "status": 200, "headers": [(b"name", "text")]},
    {"type": "http.response.start", "status": 200, "headers": [(b"na me", b"value")]},
    {"type": "http.response.body", "body": b"too early"},
    {"type": "http.response.body", "body": "text"},
    {"type": "http.response.body", "body": 3},
]


async def total(exchange: Exchange) -> None:
    """Tell how many references there are when nothing is left to collect."""
    gc.collect()
    gc.collect()
    await exchange.json(sys.gettotalrefcount())  # type: ignore[attr-defined]


async def plain(exchange: Exchange) -> None:
    """Answer without suspending."""
    await exchange.answer(b"x", 200, [(b"content-type", b"text/plain")])


async def echo(exchange: Exchange) -> None:
    """Read, suspend, answer with a bytearray, and see the disconnect."""
    body = await exchange.body()
    await aio.checkpoint()
    await exchange.answer(bytearray(body))
    await exchange.receive()


async def stream(exchange: Exchange) -> None:
    """Send pieces of all kinds, so many that the client's slowness and the loop's turn are felt."""
    await exchange.start(200, [(b"x-%d" % n, b"y") for n in range(40)])
    for _ in range(100):
        await exchange.write(b"z" * 20_000)
    await exchange.write(memoryview(b"q" * 9_999), more=False)  # type: ignore[arg-type]


async def fail(exchange: Exchange) -> None:
    """Fail at once, or after a suspension, or in the midst of the answer."""
    if "later" in exchange.query:
        await aio.checkpoint()
    if "begun" in exchange.query:
        await exchange.start()
        await exchange.write(b"begun")
    raise ValueError("on purpose")


async def nothing(exchange: Exchange) -> None:
    """Do not answer."""


async def wrong(exchange: Exchange) -> None:
    """Send messages that are refused."""
    for message in WRONG:
        try:
            await exchange.send(message)
        except (TypeError, ValueError, KeyError, RuntimeError, OverflowError):
            continue
        raise AssertionError(message)
    await exchange.answer(b"all were refused")


async def dropped(exchange: Exchange) -> None:
    """Leave awaitables unused, closed, thrown into, and in a cycle."""
    exchange.receive()
    exchange.receive().close()  # type: ignore[attr-defined]
    try:
        exchange.receive().throw(LookupError("on purpose"))  # type: ignore[attr-defined]
    except LookupError:
        cycle: list[Any] = [exchange, exchange.receive()]
        cycle.append(cycle)
    await exchange.answer(b"dropped")


async def wait(exchange: Exchange) -> None:
    """Wait until the client has gone, and answer nevertheless."""
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
    await exchange.answer(b"nobody reads this")


inner_app = application(as_routes(total, plain, echo, stream, fail, nothing, wrong, dropped, wait))


def app(scope: Any, receive: Any, send: Any) -> Any:
    """Be awaited as the query asks for."""
    way = scope.get("query_string", b"").decode().partition("&")[0]
    return WAYS.get(way, WAYS["coroutine"])(inner_app(scope, receive, send))
