"""The paths of ``ws_shared`` in Quart, for its version on asyncio and the one on trio.

Quart tells a handler of the WebSocket's end by cancelling it, without the code.
"""

from __future__ import annotations

from typing import Any

import ws_shared
from quart import Quart, websocket


async def echo() -> None:
    token = websocket.args["token"]
    await websocket.accept(subprotocol=ws_shared.chosen(websocket.requested_subprotocols))
    try:
        while (message := await websocket.receive()) != ws_shared.CLOSE:
            await websocket.send(message)
        await websocket.close(ws_shared.CODE, ws_shared.REASON)
    finally:
        ws_shared.note_end(token)


async def deny() -> Any:
    return ws_shared.DENIAL, 403, dict([ws_shared.DENIAL_FIELD])


async def all_notes() -> None:
    await websocket.accept()
    await websocket.send_json(ws_shared.notes)
    await websocket.close(1000)


def add_routes(app: Quart) -> None:
    """Add the paths to an application."""
    for view in (echo, deny):
        app.websocket(f"/{view.__name__}")(view)
    app.websocket("/notes")(all_notes)
