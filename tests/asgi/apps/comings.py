"""What the tests of clients that disappear, of stops and of random mixtures ask for; nothing is left at work."""

from __future__ import annotations

from typing import Any

import aio
from kit import App, Exchange, application, as_routes

at_work = 0
total = 0


def counted(inner: App) -> App:
    """Count the exchanges at work."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        global at_work, total
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print(f"shutdown with {at_work} at work", flush=True)
            await send({"type": "lifespan.shutdown.complete"})
            return
        at_work += 1
        total += 1
        try:
            await inner(scope, receive, send)
        finally:
            at_work -= 1

    return app


async def now(exchange: Exchange) -> None:
    """Tell what is at work besides this, and how many there were."""
    await exchange.json([at_work - 1, total])


async def pause(exchange: Exchange, name: str = "ms") -> None:
    if name in exchange.query:
        await aio.sleep(exchange.number(name) / 1000)


async def plain(exchange: Exchange) -> None:
    """Answer at once, or after a pause."""
    await pause(exchange)
    await exchange.answer(exchange.query["n"].encode())


async def echo(exchange: Exchange) -> None:
    """Answer with the body, pausing before and after it is read."""
    await pause(exchange)
    body = await exchange.body()
    await pause(exchange, "later")
    await exchange.answer(exchange.query["n"].encode() + b":" + body)


async def ignore(exchange: Exchange) -> None:
    """Answer without reading the body."""
    await pause(exchange)
    await exchange.answer(exchange.query["n"].encode())


async def stream(exchange: Exchange) -> None:
    """Answer in pieces, with pauses."""
    await exchange.start()
    for number in range(exchange.number("count", 3)):
        await exchange.write(b"%s.%d;" % (exchange.query["n"].encode(), number))
        await pause(exchange)
    await exchange.write(b"", more=False)


async def grouped(exchange: Exchange) -> None:
    """Let a task of a group answer, while another sleeps."""
    async with aio.group() as group:
        await group.start(plain, exchange)
        await group.start(aio.sleep, 0.001)


async def until_gone(exchange: Exchange) -> None:
    """Wait for the client to go."""
    while (await exchange.receive())["type"] != "http.disconnect":
        pass


async def stream_for_ever(exchange: Exchange) -> None:
    """Send until the client has gone."""
    await exchange.start()
    while True:
        await exchange.write(b"x" * 1000)
        await pause(exchange)


async def stream_and_listen(exchange: Exchange) -> None:
    """Send in one task and wait for the disconnect in another, as frameworks do."""
    async with aio.group() as group:

        async def listen() -> None:
            await until_gone(exchange)
            await group.cancel()

        await group.start(listen)
        await exchange.start()
        while True:
            await exchange.write(b"x" * 1000)
            await aio.sleep(0.005)


async def fail(exchange: Exchange) -> None:
    await pause(exchange)
    raise ValueError("on purpose")


async def never(exchange: Exchange) -> None:
    """Work for longer than anyone waits; cleaning up takes a moment, too."""
    try:
        await aio.sleep(60)
    finally:
        print("cleaned up", flush=True)


app = counted(
    application(
        as_routes(
            now,
            plain,
            echo,
            ignore,
            stream,
            grouped,
            until_gone,
            stream_for_ever,
            stream_and_listen,
            fail,
            never,
        )
    )
)
