"""The WebSockets of test_sockets.py, with tasks of anyio: one receives, another sends."""

from __future__ import annotations

import math
from typing import Any

import anyio
import sockets_bare

last = sockets_bare.last


async def echo(receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    give, take = anyio.create_memory_object_stream[dict[str, Any]](math.inf)

    async def send_back() -> None:
        async with take:
            async for event in take:
                await send(event | {"type": "websocket.send"})

    async with anyio.create_task_group() as group, give:
        group.start_soon(send_back)
        while (event := await receive())["type"] == "websocket.receive":
            await give.send(event)
    last.update(code=event["code"], reason=event["reason"])


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope.get("path") == "/echo":
        assert (await receive())["type"] == "websocket.connect"
        await echo(receive, send)
    else:
        await sockets_bare.app(scope, receive, send)
