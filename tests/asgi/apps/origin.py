"""What the tests of the origin need: small pages, a lifespan that can do everything, a page that tells of tasks."""

from __future__ import annotations

import os
from typing import Any

import aio
from kit import Exchange, application

MODE = os.environ.get("ORIGIN_LIFESPAN", "")
notes: list[str] = []


async def hello(exchange: Exchange) -> None:
    await exchange.answer(b"Hello, world!", fields=[(b"content-type", b"text/plain")])


async def echo(exchange: Exchange) -> None:
    await exchange.answer(b"Body: " + await exchange.body())


async def empty(exchange: Exchange) -> None:
    await exchange.start(204)
    await exchange.write(b"", more=False)


async def close(exchange: Exchange) -> None:
    await exchange.answer(b"bye", fields=[(b"connection", b"close")])


async def server_header(exchange: Exchange) -> None:
    await exchange.answer(fields=[(b"server", b"first"), (b"server", b"second")])


async def dated(exchange: Exchange) -> None:
    await exchange.answer(fields=[(b"Date", b"today"), (b"connection", b"close")])


async def fails_late(exchange: Exchange) -> None:
    """Fail when the head has been sent, and may be taken back."""
    await exchange.start(200)
    raise ValueError("on purpose")


async def stream(exchange: Exchange) -> None:
    """Send what comes back in pieces, each when it has come."""
    await exchange.start()
    for number in range(5):
        await exchange.write(b"piece %d;" % number)
        await aio.sleep(0.01)
    await exchange.write(b"", more=False)


async def listens(exchange: Exchange) -> None:
    """Receive until the client has gone, and count how often that took."""
    count = 0
    while (await exchange.receive())["type"] != "http.disconnect":
        count += 1
    await aio.sleep(0)
    notes.append(f"disconnect after {count}")


async def after_the_end(exchange: Exchange) -> None:
    """Send to a client that has gone."""
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
    try:
        await exchange.answer(b"too late")
    except OSError as error:
        notes.append(f"send: {type(error).__name__}")
        raise


async def stays(exchange: Exchange) -> None:
    try:
        await aio.sleep(60)
    except BaseException as error:
        notes.append("cancelled" if aio.is_cancellation(error) else repr(error))
        print("cancelled", flush=True)
        raise


async def group_fails(exchange: Exchange) -> None:
    """Fail in two tasks at once."""

    async def fail() -> None:
        await aio.sleep(0.01)
        raise ValueError("in a task")

    async with aio.group() as tasks:
        await tasks.start(fail)
        await tasks.start(fail)


async def tasks(exchange: Exchange) -> None:
    """How many tasks there are in the library."""
    if aio.name() == "asyncio":
        import asyncio

        await exchange.json(len(asyncio.all_tasks()))
    elif aio.name() == "trio":
        import trio

        await exchange.json(trio.lowlevel.current_statistics().tasks_living)
    else:
        import curio

        kernel = await curio.traps._get_kernel()
        await exchange.json(len(kernel._tasks))


async def noted(exchange: Exchange) -> None:
    await exchange.json(notes)


async def partial_answer(exchange: Exchange) -> None:
    await exchange.start()
    await exchange.write(b"part")


async def no_answer(exchange: Exchange) -> None:
    """Return without a word."""


async def wrong_order(exchange: Exchange) -> None:
    await exchange.write(b"body first")


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Do as ``ORIGIN_LIFESPAN`` says."""
    print("scope", sorted(scope["asgi"].items()), flush=True)
    if MODE == "unsupported":
        raise AssertionError("no lifespan here")
    assert (await receive())["type"] == "lifespan.startup"
    print("startup", flush=True)
    if MODE == "raises":
        raise RuntimeError("the startup raises")
    if MODE.startswith("failed"):
        await send({"type": "lifespan.startup.failed", "message": "the startup failed"})
        if MODE == "failed-raises":
            raise RuntimeError("and raises")
        return
    scope["state"]["started"] = True
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    print("shutdown", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def state(exchange: Exchange) -> None:
    await exchange.json(exchange.scope["state"])


app = application(
    {
        "/": hello, "/echo": echo, "/empty": empty, "/close": close, "/server": server_header, "/stream": stream,
        "/listens": listens, "/after-the-end": after_the_end, "/stays": stays, "/group-fails": group_fails,
        "/tasks": tasks, "/noted": noted, "/partial": partial_answer, "/none": no_answer, "/order": wrong_order,
        "/state": state, "/dated": dated, "/fails-late": fails_late,
    },
    lifespan,
)  # fmt: skip


class Asgi2:
    """The same for ASGI 2: an instance for each scope."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await app(self.scope, receive, send)
