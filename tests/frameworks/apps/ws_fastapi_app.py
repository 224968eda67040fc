"""The paths of ``ws_shared`` in FastAPI."""

from __future__ import annotations

import ws_shared
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse

app = FastAPI()


async def send_back(websocket: WebSocket) -> None:
    while True:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event["code"], event["reason"])
        if event.get("bytes") is not None:
            await websocket.send_bytes(event["bytes"])
        elif event["text"] != ws_shared.CLOSE:
            await websocket.send_text(event["text"])
        else:
            await websocket.close(ws_shared.CODE, ws_shared.REASON)


@app.websocket("/echo")
async def echo(websocket: WebSocket, token: str) -> None:
    await websocket.accept(ws_shared.chosen(websocket.scope["subprotocols"]))
    try:
        await send_back(websocket)
    except WebSocketDisconnect as end:
        ws_shared.note_end(token, end.code, end.reason)


@app.websocket("/deny")
async def deny(websocket: WebSocket) -> None:
    headers = dict([ws_shared.DENIAL_FIELD])
    await websocket.send_denial_response(PlainTextResponse(ws_shared.DENIAL, 403, headers))


@app.websocket("/notes")
async def all_notes(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(ws_shared.notes)
    await websocket.close()
