"""What the leak tests ask for: every kind of exchange, with nothing kept by the application itself."""

from __future__ import annotations

from typing import Any

import aio


async def read(receive: Any) -> int:
    """Read a body and return its length."""
    length = 0
    while True:
        event = await receive()
        length += len(event.get("body", b""))
        if not event.get("more_body"):
            return length


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer ``/plain`` at once, ``/body`` after its body, ``/sleep`` after a suspension; stream; or fail."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan")
    path = scope["path"]
    if path == "/fail":
        raise RuntimeError("deliberate")
    if path == "/sleep":
        await aio.checkpoint()
    body = b"%d" % await read(receive) if path == "/body" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-kind", path.encode())]})
    if path == "/stream":
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"x" * 2000, "more_body": True})
    await send({"type": "http.response.body", "body": body})
