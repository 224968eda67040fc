"""Requests that are at work when the server is told to stop; what happens to them goes to standard output."""

from __future__ import annotations

import time
from typing import Any

import aio
from kit import Exchange, application, as_routes

seen: list[str] = []


def said(text: str) -> None:
    """Write a line for the test."""
    print(text, flush=True)


async def plain(exchange: Exchange) -> None:
    """Answer at once."""
    seen.append(exchange.query.get("n", ""))
    await exchange.answer(exchange.scope["query_string"])


async def slow(exchange: Exchange) -> None:
    """Answer after a while."""
    said("slow begins")
    await aio.sleep(exchange.number("ms") / 1000)
    said("slow ends")
    await exchange.answer(b"slow")


async def block(exchange: Exchange) -> None:
    """Let nothing else run for a while, not even the server."""
    said("block begins")
    time.sleep(exchange.number("ms") / 1000)
    await exchange.answer(b"block")


async def echo(exchange: Exchange) -> None:
    """Answer with the body."""
    said("echo begins")
    await exchange.answer(await exchange.body())


async def hang(exchange: Exchange) -> None:
    """Wait to be cancelled, and take a while to clean up where the library allows it."""
    said("hang begins")
    try:
        await aio.sleep(60)
    except BaseException as error:
        said(f"hang is cancelled: {aio.is_cancellation(error)}")
        raise


async def stubborn(exchange: Exchange) -> None:
    """Do not take a cancellation for an answer."""
    said("stubborn begins")
    try:
        await aio.sleep(60)
    except BaseException:
        said("stubborn is cancelled")
        if aio.name() == "trio":
            import trio

            with trio.CancelScope(shield=True):
                await trio.sleep(60)
        await aio.sleep(60)


async def flood(exchange: Exchange) -> None:
    """Send without an end."""
    await exchange.start()
    said("flood begins")
    try:
        while True:
            await exchange.write(b"x" * 50_000)
    except OSError:
        said("flood ends")
        raise


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Start; at the end tell that it came."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    said(f"shutdown after {len(seen)}: {' '.join(seen)}")
    await aio.sleep(0.01)
    await send({"type": "lifespan.shutdown.complete"})


app = application(as_routes(plain, slow, block, echo, hang, stubborn, flood), lifespan)
