"""An application that needs no async library: it awaits receive() and send(), and on request something else."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any


class Foreign:
    """Yields what no library knows."""

    def __await__(self) -> Generator[int, None, None]:
        yield 5


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve one scope."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    path = scope["path"]
    if path == "/foreign":
        await Foreign()
    if path == "/asyncio":
        await asyncio.sleep(0.01)
    if path == "/unanswered":
        await suspend(path, receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if path in ("/blocked", "/waiting"):
        await suspend(path, receive, send)
    await respond(path, receive, send)
    if path == "/stay":
        while (await receive())["type"] != "http.disconnect":
            pass
        print("left", flush=True)
    if path == "/until-shutdown":
        await scope["extensions"]["tricorn.shutdown"].wait()
        print("told", flush=True)


async def suspend(path: str, receive: Any, send: Any) -> None:
    """Wait for what does not come, and print what comes instead."""
    try:
        while path == "/blocked":
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
        while (await receive())["more_body"]:
            print("began", flush=True)
    except BaseException as error:
        print(type(error).__name__, flush=True)
        raise


async def respond(path: str, receive: Any, send: Any) -> None:
    """Send what a path is for."""
    if path == "/stream":
        for number in range(1000):
            await send({"type": "http.response.body", "body": b"%04d" % number, "more_body": True})
    elif path == "/large":
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
    else:
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body"})


async def lifespan(receive: Any, send: Any) -> None:
    """Start up, and shut down."""
    for event in ("startup", "shutdown"):
        await receive()
        print(event, flush=True)
        await send({"type": f"lifespan.{event}.complete"})
