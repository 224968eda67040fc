"""Lifespans of every kind; each application answers requests, too. What they say goes to standard output."""

from __future__ import annotations

import json
from typing import Any

import aio
from kit import App, Exchange, plain


def said(text: str) -> None:
    """Write a line for the test."""
    print(text, flush=True)


def served(lifespan: App) -> App:
    """Add the serving of requests: each tells its state and changes it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        await aio.sleep(exchange.number("ms") / 1000)
        said(f"request {scope['path']}")
        held = {key: value for key, value in scope.get("state", {"no": "state"}).items() if key != "object"}
        if "state" in scope:
            held["same object"] = scope["state"].get("object") is the_object
            scope["state"]["leak"] = 1
            scope["state"].setdefault("list", []).append(scope["path"])
        await exchange.answer(json.dumps(plain(held)).encode())

    return app


the_object = object()


async def event(receive: Any, kind: str) -> None:
    """Take the event that must come next."""
    message = await receive()
    assert message == {"type": kind}, message
    said(kind)


@served
async def good(scope: Any, receive: Any, send: Any) -> None:
    """Start, store state, stop."""
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}, scope
    assert set(scope) == {"type", "asgi", "extensions", "state"} and scope["state"] == {}, scope
    assert set(scope["extensions"]) == {"tricorn.shutdown"}, scope
    said("called")
    await event(receive, "lifespan.startup")
    scope["state"].update(number=5, list=[], object=the_object)
    await aio.sleep(0.05)
    said("started")
    await send({"type": "lifespan.startup.complete", "later": 1})
    await event(receive, "lifespan.shutdown")
    await aio.sleep(0.05)
    said("stopped")
    await send({"type": "lifespan.shutdown.complete"})
    said("returned")


@served
async def raising(scope: Any, receive: Any, send: Any) -> None:
    """Does not know the lifespan."""
    raise NotImplementedError("no lifespan here")


@served
async def raising_in_startup(scope: Any, receive: Any, send: Any) -> None:
    """Fails after it has taken the event."""
    await receive()
    await aio.sleep(0.01)
    raise ValueError("broken in startup")


@served
async def returning(scope: Any, receive: Any, send: Any) -> None:
    """Returns without a word."""


@served
async def failing(scope: Any, receive: Any, send: Any) -> None:
    """Says that it cannot start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database is not there"})
    said("failed")


@served
async def failing_and_raising(scope: Any, receive: Any, send: Any) -> None:
    """Says that it cannot start and raises, as Starlette does."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the traceback of the framework"})
    raise ValueError("after startup.failed")


@served
async def failing_in_shutdown(scope: Any, receive: Any, send: Any) -> None:
    """Says that it could not stop."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "the journal was not written"})


@served
async def raising_in_shutdown(scope: Any, receive: Any, send: Any) -> None:
    """Fails while it stops."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise ValueError("broken in shutdown")


@served
async def returning_after_startup(scope: Any, receive: Any, send: Any) -> None:
    """Starts, and does not wait for the end."""
    await receive()
    await send({"type": "lifespan.startup.complete"})


@served
async def raising_while_serving(scope: Any, receive: Any, send: Any) -> None:
    """Fails after it has started."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await aio.sleep(0.05)
    raise ValueError("broken while serving")


@served
async def bad_messages(scope: Any, receive: Any, send: Any) -> None:
    """Sends what must be refused, then goes on."""
    await receive()
    for message in ({"type": "lifespan.begin"}, {"type": "lifespan.shutdown.complete"}, {"no": "type"}):
        try:
            await send(message)
        except Exception as error:
            said(f"refused: {type(error).__name__}")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


@served
async def held_group(scope: Any, receive: Any, send: Any) -> None:
    """Holds a group of tasks and a cancel scope open from start to stop, as a context manager around ``yield``."""
    task = await aio.current_task()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await aio.sleep(0.001)
            ticks += 1

    await receive()
    async with aio.move_on_after(60) as late:
        async with aio.group() as group:
            await group.start(tick)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            assert await aio.current_task() is task
            await group.cancel()
        said("the group is closed")
    assert not late and ticks > 5, ticks
    said("the scope is closed")
    await send({"type": "lifespan.shutdown.complete"})


@served
async def expired_shutdown(scope: Any, receive: Any, send: Any) -> None:
    """Waits for the shutdown with a time limit, again and again: the event is not lost."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    waits = 0
    while True:
        async with aio.move_on_after(0.02) as late:
            message = await receive()
        waits += 1
        if not late:
            break
    said(f"{message['type']} after more than one: {waits > 1}")
    await send({"type": "lifespan.shutdown.complete"})


@served
async def slow_shutdown(scope: Any, receive: Any, send: Any) -> None:
    """Takes its time to stop."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    said("stopping")
    await aio.sleep(30)


@served
async def slow_startup(scope: Any, receive: Any, send: Any) -> None:
    """Takes its time to start."""
    await receive()
    said("starting")
    await aio.sleep(30)
    await send({"type": "lifespan.startup.complete"})
