"""WebSockets of every kind for the leak tests, with nothing kept by the application itself."""

from __future__ import annotations

from typing import Any

import aio

from tricorn import broadcast


async def echo(receive: Any, send: Any, *, pause: bool) -> None:
    """Echo up to the disconnect."""
    while (event := await receive())["type"] == "websocket.receive":
        if pause:
            await aio.checkpoint()
        key = "text" if event["text"] is not None else "bytes"
        await send({"type": "websocket.send", key: event[key]})


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Echo at ``/echo``, with suspensions at ``/sleep``; deny, refuse, close or fail at other paths."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan")
    path = scope["path"]
    assert (await receive())["type"] == "websocket.connect"
    if path == "/deny":
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"denied"})
    elif path == "/refuse":
        await send({"type": "websocket.close"})
    else:
        await send({"type": "websocket.accept", "headers": [(b"x-kind", path.encode())]})
        if path == "/fail":
            raise RuntimeError("deliberate")
        if path == "/close":
            await send({"type": "websocket.close", "code": 4000, "reason": "at once"})
        elif path == "/broadcast":
            for _ in range(10):
                await broadcast([send] * 5, {"type": "websocket.send", "text": "to all " * 50})
        else:
            await echo(receive, send, pause=path == "/sleep")
