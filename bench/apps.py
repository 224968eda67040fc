"""The applications that are measured: bare ASGI, the same object for every server.

`sleep0` suspends once before it answers, in the library that the environment variable BENCH_LIBRARY names.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HELLO = b"Hello, world!"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 13 bytes."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
        }
    )
    await send({"type": "http.response.body", "body": HELLO})


async def lifespan(receive: Receive, send: Send) -> None:
    """Take part in the lifespan protocol, with nothing to set up."""
    while True:
        event = (await receive())["type"]
        await send({"type": event + ".complete"})
        if event == "lifespan.shutdown":
            return


def suspending(library: str) -> Application:
    """Make the application that sleeps once for no time at all, then answers as `hello` does."""
    sleep = importlib.import_module(library).sleep

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sleep(0)
        await hello(scope, receive, send)

    return application


sleep0 = suspending(os.environ.get("BENCH_LIBRARY", "asyncio"))
