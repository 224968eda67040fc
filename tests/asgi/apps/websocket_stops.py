"""WebSockets that live when the server stops; they print what happens. They need no async library."""

from __future__ import annotations

import time
from typing import Any


def tell(*what: object) -> None:
    """Write a line for the test."""
    print(*what, flush=True)


async def lifespan(receive: Any, send: Any) -> None:
    """Start up, and shut down."""
    for event in ("startup", "shutdown"):
        await receive()
        tell("lifespan", event)
        await send({"type": f"lifespan.{event}.complete"})


async def to_the_end(receive: Any, send: Any, *, echo: bool) -> None:
    """Take messages up to the disconnect; echoes fail when the socket is closed, which is no harm."""
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            tell("end", event["code"])
            return
        tell("got", event["text"])
        if echo:
            try:
                await send({"type": "websocket.send", "text": event["text"]})
            except OSError:
                echo = False


async def at_stop(path: str, scope: Any, receive: Any, send: Any) -> None:
    """Decide about the handshake when the server stops."""
    tell("waits")
    await scope["extensions"]["tricorn.shutdown"].wait()
    if path == "/deny-at-stop":
        await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"stopping"})
        return
    await send({"type": "websocket.accept"})
    await to_the_end(receive, send, echo=False)


async def late(then: bytes, receive: Any, send: Any) -> None:
    """A handshake that comes with the stop."""
    if then == b"then=accept":
        await send({"type": "websocket.accept"})
        await to_the_end(receive, send, echo=False)
    elif then == b"then=close":
        await send({"type": "websocket.close"})
    else:
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"denied"})


async def deaf(kind: str, receive: Any, send: Any) -> None:
    """Receive for ever, whatever comes; the first that is no message is told."""
    start = {"type": "http.response.start", "status": 200, "headers": []}
    await send({"type": "websocket.accept"} if kind == "websocket" else start)
    told = False
    while True:
        event = await receive()
        if not told and event["type"].endswith(".disconnect"):
            told = True
            tell("deaf to", event["type"])


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve a scope."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    path = scope["path"]
    await receive()
    if path == "/deaf":
        await deaf(scope["type"], receive, send)
        return
    assert scope["type"] == "websocket"
    if path == "/late":
        await late(scope["query_string"], receive, send)
        return
    if path.endswith("-at-stop"):
        await at_stop(path, scope, receive, send)
        return
    await send({"type": "websocket.accept"})
    if path == "/slow":
        tell("held")
        await scope["extensions"]["tricorn.shutdown"].wait()
        time.sleep(0.2)
    await to_the_end(receive, send, echo=path == "/echo")
