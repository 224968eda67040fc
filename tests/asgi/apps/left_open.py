"""Applications that return with something of their task's left open, and one that waits for what is nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import aio
from kit import Exchange, application, as_routes

gate: list[aio.Event] = []
waiting = 0
children = 0


class Nothing:
    """Awaitable, but what it yields is no request to any library."""

    def __await__(self) -> Generator[int, None, None]:
        yield 5


async def plain(exchange: Exchange) -> None:
    await exchange.answer(exchange.scope["query_string"])


async def pausing(exchange: Exchange) -> None:
    """Answer after suspending; what was left open in this task would be felt."""
    await aio.sleep(0.001)
    await exchange.answer(exchange.scope["query_string"])


async def hold(exchange: Exchange) -> None:
    """Answer with the body when let go, having been suspended in between."""
    global waiting
    event = aio.Event()
    gate.append(event)
    waiting += 1
    await event.wait()
    waiting -= 1
    for _ in range(3):
        await aio.sleep(0.001)
    await exchange.answer(await exchange.body())


async def let(exchange: Exchange) -> None:
    events = gate.copy()
    gate.clear()
    for event in events:
        await event.set()
    await exchange.answer(b"%d" % len(events))


async def counted(exchange: Exchange) -> None:
    """Tell how many requests are held and how many children run."""
    await exchange.json([waiting, children])


async def spoil(exchange: Exchange, leave: Callable[[], Awaitable[None]]) -> None:
    """Leave something open: before the answer, in the middle of it or after it, at once or having suspended."""
    when = exchange.query.get("when", "before")
    if "suspended" in exchange.query:
        await aio.sleep(0.001)
    if when == "before":
        await leave()
        await exchange.answer(b"left")
        return
    await exchange.start()
    await exchange.write(b"some ")
    if when == "after":
        await exchange.write(b"left", more=False)
    await leave()
    if when == "failing":
        raise ValueError("on purpose")


async def scope(exchange: Exchange) -> None:
    """Enter a scope of trio's, and more of them inside; they are cancelled, expire later, or neither."""
    import trio

    async def leave() -> None:
        for _ in range(exchange.number("depth", 1)):
            opened = trio.CancelScope().__enter__()
        kind = exchange.query.get("kind")
        if kind == "cancelled":
            opened.cancel()
        elif kind == "expiring":
            opened.deadline = trio.current_time() + 0.05
        elif kind == "shielded":
            opened.shield = True

    await spoil(exchange, leave)


async def child(kind: str) -> None:
    """Run in a nursery that is left open."""
    global children
    import trio

    children += 1
    try:
        if kind == "failing":
            await trio.sleep(0.01)
            raise ValueError("on purpose, in a child")
        if kind == "short":
            await trio.sleep(0.01)
        elif kind == "ready":
            while True:
                await trio.lowlevel.checkpoint()
        else:
            await trio.sleep_forever()
    finally:
        if kind == "stubborn":
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)
        children -= 1


async def nursery(exchange: Exchange) -> None:
    """Open a nursery of trio's, and more of them inside, with children or without."""
    import trio

    async def leave() -> None:
        for _ in range(exchange.number("depth", 1)):
            opened = await trio.open_nursery().__aenter__()
            for kind in exchange.query.get("children", "").split():
                opened.start_soon(child, kind)
        if "cancelled" in exchange.query:
            opened.cancel_scope.cancel()

    await spoil(exchange, leave)


async def hang(exchange: Exchange) -> None:
    """Leave both open, and do not return."""
    import trio

    trio.CancelScope().__enter__()
    opened = await trio.open_nursery().__aenter__()
    opened.start_soon(child, "long")
    await trio.sleep_forever()


async def nothing(exchange: Exchange) -> None:
    """Wait for what yields a number."""

    async def leave() -> None:
        if "limited" in exchange.query:
            async with aio.move_on_after(30):
                await Nothing()
        else:
            await Nothing()

    await spoil(exchange, leave)


async def cleaning(exchange: Exchange) -> None:
    """Wait for what yields a number, and clean up with what is the library's."""
    cleaned = False
    try:
        await Nothing()
    except RuntimeError:
        await aio.sleep(0.001)
        cleaned = True
        raise
    finally:
        found: list[Any] = [await aio.current_task() is not None, cleaned]
        print("cleaned up:", *found, flush=True)


app = application(as_routes(plain, pausing, hold, let, counted, scope, nursery, hang, nothing, cleaning))
