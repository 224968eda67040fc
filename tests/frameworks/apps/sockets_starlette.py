"""The WebSockets of test_sockets.py in Starlette."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

last: dict[str, Any] = {"code": None, "reason": None}


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message.get("reason"))
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect as end:
        last.update(code=end.code, reason=end.reason)


async def tell(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(f"{last['code']} {last['reason']}")
    await socket.close()


async def choose(socket: WebSocket) -> None:
    chosen = "second" if "second" in socket.scope["subprotocols"] else None
    await socket.accept(subprotocol=chosen, headers=[(b"x-chosen", b"yes")])
    await socket.close(code=4001, reason="au revoir")


async def refuse(socket: WebSocket) -> None:
    await socket.send_denial_response(Response("no way", status_code=451, headers={"x-why": "law"}))


app = Starlette(
    routes=[
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/last", tell),
        WebSocketRoute("/choose", choose),
        WebSocketRoute("/refuse", refuse),
    ]
)
