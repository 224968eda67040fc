"""A bare ASGI application for trio, which works in nurseries of its own.

    tricorn --app-dir examples trio_nursery:app --async-library trio

    curl --no-buffer http://127.0.0.1:8000/

Each request asks three slow services at once and answers with what they say, in the order in which they say
it. When the client goes away, the nursery and all that runs in it are cancelled. One more nursery is open as
long as the server runs: it counts the seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import trio

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SERVICES = {"weather": 0.3, "news": 0.1, "traffic": 0.2}
"""What is asked, and how many seconds it takes to answer."""


async def ask(name: str, seconds: float, answers: trio.MemorySendChannel[str]) -> None:
    async with answers:
        await trio.sleep(seconds)
        await answers.send(f"{name}: fine, after {seconds} s\n")


async def cancel_on_disconnect(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def answer(uptime: int, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    sender, answers = trio.open_memory_channel[str](0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_on_disconnect, receive, nursery.cancel_scope)
        for name, seconds in SERVICES.items():
            nursery.start_soon(ask, name, seconds, sender.clone())
        sender.close()
        async for line in answers:
            await send({"type": "http.response.body", "body": line.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"up for %d s\n" % uptime})
        nursery.cancel_scope.cancel()


async def lifespan(state: dict[str, Any], receive: Receive, send: Send) -> None:
    async def count_seconds() -> None:
        while True:
            await trio.sleep(1)
            state["clock"]["seconds"] += 1

    await receive()
    state["clock"] = {"seconds": 0}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(count_seconds)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        nursery.cancel_scope.cancel()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope["state"], receive, send)
    else:
        await answer(scope["state"]["clock"]["seconds"], receive, send)
