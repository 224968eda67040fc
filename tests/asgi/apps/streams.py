"""The pages of ``wire``, and some for exchanges that share a connection."""

from __future__ import annotations

from typing import Any

import aio
import wire
from kit import Exchange, application, as_routes


async def fail_begun(exchange: Exchange) -> None:
    """Fail when the answer has begun; ``after`` bytes of it are sent."""
    await exchange.start()
    await exchange.write(bytes(exchange.number("after")))
    raise ValueError("on purpose")


async def fail_held(exchange: Exchange) -> None:
    """Fail when only the head of the answer was sent."""
    await exchange.start(201)
    raise ValueError("on purpose")


async def incomplete(exchange: Exchange) -> None:
    """Return before the answer is complete."""
    await exchange.start()
    await exchange.write(b"some")


async def until_left(exchange: Exchange) -> None:
    """Begin the answer, wait until the client leaves, and note what a further send() makes of that."""
    await exchange.start()
    await exchange.write(b"begun")
    last: Any = {}
    while last.get("type") != "http.disconnect":
        last = await exchange.receive()
    try:
        await exchange.write(b"more")
        wire.notes.append([exchange.query["token"], "left", "nothing"])
    except OSError as error:
        wire.notes.append([exchange.query["token"], "left", type(error).__mro__[-4].__name__])


async def send_until_left(exchange: Exchange) -> None:
    """Send without end; note that it ended."""
    await exchange.start()
    try:
        while True:
            await exchange.write(bytes(50_000))
    except OSError:
        wire.notes.append([exchange.query["token"], "left"])


flowing: set[Exchange] = set()


async def flow_until_left(exchange: Exchange) -> None:
    """Send little by little without end, and look for nothing else."""
    flowing.add(exchange)
    try:
        await exchange.start()
        while True:
            await exchange.write(b"some")
            await aio.sleep(0.05)
    except OSError:
        flowing.remove(exchange)


async def flowing_now(exchange: Exchange) -> None:
    """Tell how many of them are at work."""
    await exchange.json(len(flowing))


async def body_later(exchange: Exchange) -> None:
    """Answer in two pieces, the second of which waits until it is let."""
    await exchange.start()
    await exchange.write(b"first")
    await wire.hold(exchange)
    await exchange.write(b"second", more=False)


routes = as_routes(
    fail_begun,
    fail_held,
    incomplete,
    until_left,
    send_until_left,
    body_later,
    flow_until_left,
    flowing_now,
)
app = application({**wire.routes, **routes})
