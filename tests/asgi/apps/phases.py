"""Applications that end well when a server stops, and applications that would not let it."""

from __future__ import annotations

import collections
import itertools
import os
import threading
import time
from typing import Any

import aio
from kit import Exchange, application, as_routes

HANGS = os.environ.get("HANGS", "")


def said(text: str) -> None:
    """Write a line for the test."""
    print(text, flush=True)


def hold() -> None:
    """Hold the interpreter for ever: no other thread runs, and no signal's handler."""
    collections.deque(itertools.repeat(0), maxlen=0)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Start and shut down, or hang in between."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    said("shutting down")
    if HANGS == "lifespan":
        await aio.sleep(600)
    if HANGS == "lifespan-holding":
        hold()
    if HANGS == "thread":
        threading.Thread(target=time.sleep, args=(600,)).start()
    await send({"type": "lifespan.shutdown.complete"})


async def plain(exchange: Exchange) -> None:
    """Answer, after a while perhaps."""
    await aio.sleep(exchange.number("ms") / 1000)
    await exchange.answer(b"plain")


async def events(exchange: Exchange) -> None:
    """Send events until the client is gone, which another task listens for, as frameworks do."""
    async with aio.group() as group:

        async def listen() -> None:
            while (await exchange.receive())["type"] != "http.disconnect":
                pass
            said("told")
            await group.cancel()

        async def send() -> None:
            await exchange.start(fields=[(b"content-type", b"text/event-stream")])
            while True:
                await exchange.write(b"data: 1\n\n")
                await aio.sleep(0.02)

        await group.start(send)
        await group.start(listen)
    await exchange.write(b"", more=False)


async def poll(exchange: Exchange) -> None:
    """Wait for the client to leave, and answer if asked to."""
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
    said("left " + (await exchange.receive())["type"])
    if "answer" in exchange.query:
        await exchange.answer(b"bye")


async def upload(exchange: Exchange) -> None:
    """Answer with the body."""
    said("uploading")
    await exchange.answer(await exchange.body())


async def stubborn(exchange: Exchange) -> None:
    """Swallow every cancellation."""
    said("stubborn")
    while True:
        try:
            await aio.sleep(600)
        except BaseException:
            said("swallowed")


async def block(exchange: Exchange) -> None:
    """Block the loop, letting other threads run."""
    said("block")
    time.sleep(600)


async def holding(exchange: Exchange) -> None:
    """Hold the interpreter."""
    said("holding")
    hold()


async def never(exchange: Exchange) -> None:
    """Wait for longer than anyone does; hold the interpreter when it is cancelled."""
    said("never")
    try:
        await aio.sleep(600)
    finally:
        if "hold" in exchange.query:
            said("holding")
            hold()


app = application(as_routes(plain, events, poll, upload, stubborn, block, holding, never), lifespan)
