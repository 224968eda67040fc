"""Requests that are cancelled with their client, or for their time; what became of them is shown by ``/notes``."""

from __future__ import annotations

from typing import Any

import aio
from kit import Exchange, application, as_routes

notes: list[Any] = []
gates: dict[str, aio.Event] = {}


def note(exchange: Exchange, what: str) -> None:
    notes.append([exchange.query.get("token", ""), what])


def extension(exchange: Exchange) -> Any:
    return exchange.scope["extensions"]["tricorn.cancel_on_disconnect"]


async def work(exchange: Exchange) -> None:
    """Sleep for a minute, and note how that ended."""
    if "enable" in exchange.query:
        extension(exchange).enable()
    if "disable" in exchange.query:
        extension(exchange).disable()
    note(exchange, "began")
    try:
        await aio.sleep(exchange.number("ms", 60_000) / 1000)
    except BaseException as error:
        note(exchange, "cancelled" if aio.is_cancellation(error) else f"failed: {error!r}")
        raise
    note(exchange, "slept")
    await exchange.answer(b"slept")


async def waits(exchange: Exchange) -> None:
    """Wait for the disconnect itself; the cancellation comes instead."""
    note(exchange, "began")
    try:
        while (await exchange.receive())["type"] != "http.disconnect":
            pass
        note(exchange, "disconnect")
        await aio.sleep(0.01)
        note(exchange, "went on")
    except BaseException as error:
        note(exchange, "cancelled" if aio.is_cancellation(error) else f"failed: {error!r}")
        raise


async def family(exchange: Exchange) -> None:
    """Work in tasks of its own: they are cancelled, too, before the request ends."""

    async def child(name: str) -> None:
        try:
            await aio.sleep(60)
        except BaseException as error:
            note(exchange, f"{name} cancelled" if aio.is_cancellation(error) else f"{name} failed: {error!r}")
            raise

    try:
        async with aio.group() as tasks:
            await tasks.start(child, "first")
            await tasks.start(child, "second")
            await aio.sleep(0.01)
            note(exchange, "began")
            await aio.sleep(60)
    finally:
        note(exchange, "ended")


async def declines_for_a_while(exchange: Exchange) -> None:
    """Be left alone in one part, in which the client goes, and be cancelled in the next."""
    await aio.checkpoint()  # from here on the request would be cancelled
    extension(exchange).disable()
    note(exchange, "began")
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
    await aio.sleep(0.1)
    note(exchange, "left alone")
    extension(exchange).enable()
    try:
        await aio.sleep(60)
    except BaseException as error:
        note(exchange, "cancelled" if aio.is_cancellation(error) else f"failed: {error!r}")
        raise


async def goes_on(exchange: Exchange) -> None:
    """Catch the cancellation, and end as if nothing had been."""
    note(exchange, "began")
    try:
        await aio.sleep(60)
    except BaseException:
        note(exchange, "caught")


async def fails(exchange: Exchange) -> None:
    """Fail of something else while it is cancelled, in a task beside another."""

    async def child() -> None:
        try:
            await aio.sleep(60)
        except BaseException as error:
            raise ValueError("while it was cancelled") from error

    async with aio.group() as tasks:
        await tasks.start(child)
        await aio.sleep(0.01)
        note(exchange, "began")
        try:
            await aio.sleep(60)
        finally:
            if "alone" in exchange.query:
                raise ValueError("while it was cancelled")


async def scoped(exchange: Exchange) -> None:
    """Be inside of a timeout when the cancellation comes: it passes through."""
    async with aio.move_on_after(30) as late:
        await aio.checkpoint()
        extension(exchange).enable()
        note(exchange, "began")
        try:
            await aio.sleep(60)
        finally:
            note(exchange, f"left {late}")
    note(exchange, "went on")


async def cleans_up(exchange: Exchange) -> None:
    """Answer in spite of the cancellation."""
    note(exchange, "began")
    try:
        await aio.sleep(60)
    except BaseException:
        await exchange.answer(b"too late", 503)
        raise


async def streams(exchange: Exchange) -> None:
    """Send a line, then work."""
    await exchange.start()
    await exchange.write(b"line\n")
    await work(exchange)


async def afterwards(exchange: Exchange) -> None:
    """Answer, and go on working."""
    await exchange.answer(b"done")
    await work(exchange)


async def from_a_child(exchange: Exchange) -> None:
    """Ask for the cancellation in another task, where it cannot be known which request is meant."""
    errors = []

    async def child() -> None:
        try:
            extension(exchange).enable()
        except RuntimeError as error:
            errors.append(str(error))

    async with aio.group() as tasks:
        await tasks.start(child)
    await exchange.json(errors)


async def watch(exchange: Exchange) -> None:
    """Stream until the server begins to stop; any number of tasks wait for that."""
    shutdown = exchange.scope["extensions"]["tricorn.shutdown"]
    seen = []

    async def child() -> None:
        await shutdown.wait()
        seen.append("child")

    await exchange.start()
    await exchange.write(b"%s\n" % str(shutdown.is_set()).encode())
    async with aio.move_on_after(0.01):  # one that gives up leaves nothing behind
        await shutdown.wait()
    async with aio.group() as tasks:
        await tasks.start(child)
        await tasks.start(child)
        await shutdown.wait()
    await shutdown.wait()
    await exchange.write(b"%s %d\n" % (str(shutdown.is_set()).encode(), len(seen)), more=False)


async def change(exchange: Exchange) -> None:
    """Change the extensions that this request was given."""
    before = sorted(exchange.scope["extensions"])
    exchange.scope["extensions"]["mine"] = {}
    await exchange.json(before)


async def task(exchange: Exchange) -> None:
    """Say whether anything of a cancellation is left in the task that serves now."""
    current: Any = await aio.current_task()
    await aio.sleep(0)
    cancelling = getattr(current, "cancelling", None)
    await exchange.json([cancelling() if cancelling is not None else 0])


async def shown(exchange: Exchange) -> None:
    await exchange.json(notes)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Note at the shutdown whether the server had told of it."""
    shutdown = scope["extensions"]["tricorn.shutdown"]
    await receive()
    await send({"type": "lifespan.startup.complete"})
    before = shutdown.is_set()
    await receive()
    print("shutdown", before, shutdown.is_set(), flush=True)
    await send({"type": "lifespan.shutdown.complete"})


app = application(
    as_routes(
        work,
        waits,
        family,
        declines_for_a_while,
        goes_on,
        fails,
        scoped,
        cleans_up,
        streams,
        afterwards,
        from_a_child,
        watch,
        change,
        task,
        shown,
    ),
    lifespan,
)
