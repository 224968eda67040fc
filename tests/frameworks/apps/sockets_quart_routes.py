"""What the WebSockets of Quart and Quart-Trio do. Both cancel the handler when the client goes: it is told no code."""

from __future__ import annotations

from quart import Quart, Response, abort, websocket


async def echo() -> None:
    await websocket.accept()
    while True:
        await websocket.send(await websocket.receive())


async def choose() -> None:
    chosen = "second" if "second" in websocket.requested_subprotocols else None
    await websocket.accept(headers={"x-chosen": "yes"}, subprotocol=chosen)
    await websocket.close(4001, "au revoir")


async def refuse() -> None:
    abort(Response("no way", status=451, headers={"x-why": "law"}))


def add(app: Quart) -> None:
    """Add the routes to an application."""
    app.add_websocket("/echo", view_func=echo)
    app.add_websocket("/choose", view_func=choose)
    app.add_websocket("/refuse", view_func=refuse)
