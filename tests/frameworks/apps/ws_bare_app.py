"""The paths of ``ws_shared`` without a framework, on any library."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import ws_shared


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    token = parse_qs(scope["query_string"].decode())["token"][0]
    await send({"type": "websocket.accept", "subprotocol": ws_shared.chosen(scope["subprotocols"])})
    while (event := await receive())["type"] == "websocket.receive":
        if event["text"] == ws_shared.CLOSE:
            await send({"type": "websocket.close", "code": ws_shared.CODE, "reason": ws_shared.REASON})
        else:
            await send({"type": "websocket.send", "text": event["text"], "bytes": event["bytes"]})
    ws_shared.note_end(token, event["code"], event["reason"])


async def deny(send: Any) -> None:
    name, value = ws_shared.DENIAL_FIELD
    headers = [(name.encode(), value.encode())]
    await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": ws_shared.DENIAL.encode()})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/echo":
        await echo(scope, receive, send)
    elif scope["path"] == "/notes":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(ws_shared.notes)})
        await send({"type": "websocket.close"})
    else:
        await deny(send)
