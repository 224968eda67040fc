"""The paths of ``ws_shared`` in Starlette."""

from __future__ import annotations

import ws_shared
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket


async def echo(websocket: WebSocket) -> None:
    await websocket.accept(ws_shared.chosen(websocket.scope["subprotocols"]))
    while (event := await websocket.receive())["type"] == "websocket.receive":
        if event.get("bytes") is not None:
            await websocket.send_bytes(event["bytes"])
        elif event["text"] != ws_shared.CLOSE:
            await websocket.send_text(event["text"])
        else:
            await websocket.close(ws_shared.CODE, ws_shared.REASON)
    ws_shared.note_end(websocket.query_params["token"], event["code"], event["reason"])


async def deny(websocket: WebSocket) -> None:
    headers = dict([ws_shared.DENIAL_FIELD])
    await websocket.send_denial_response(PlainTextResponse(ws_shared.DENIAL, 403, headers))


async def all_notes(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(ws_shared.notes)
    await websocket.close()


app = Starlette(
    routes=[
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/deny", deny),
        WebSocketRoute("/notes", all_notes),
    ]
)
