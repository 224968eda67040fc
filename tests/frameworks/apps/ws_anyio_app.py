"""The paths of ``ws_shared`` with anyio: one task receives, another sends, and a stream lies between them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import anyio
import ws_bare_app
import ws_shared
from anyio.streams.memory import MemoryObjectReceiveStream


async def send_back(messages: MemoryObjectReceiveStream[dict[str, Any]], send: Any) -> None:
    async with messages:
        async for message in messages:
            await send(message)


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    token = parse_qs(scope["query_string"].decode())["token"][0]
    await send({"type": "websocket.accept", "subprotocol": ws_shared.chosen(scope["subprotocols"])})
    to_send, messages = anyio.create_memory_object_stream[dict[str, Any]](4)
    async with anyio.create_task_group() as tasks, to_send:
        tasks.start_soon(send_back, messages, send)
        while True:
            with anyio.fail_after(20):
                event = await receive()
            if event["type"] == "websocket.disconnect":
                break
            answer = {"type": "websocket.send", "text": event["text"], "bytes": event["bytes"]}
            if event["text"] == ws_shared.CLOSE:
                answer = {"type": "websocket.close", "code": ws_shared.CODE, "reason": ws_shared.REASON}
            await to_send.send(answer)
    ws_shared.note_end(token, event["code"], event["reason"])


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["path"] != "/echo":
        await ws_bare_app.app(scope, receive, send)
        return
    assert (await receive())["type"] == "websocket.connect"
    await echo(scope, receive, send)
