"""What a browser is shown: the routes of ``bare_app``, the WebSockets of ``ws_bare_app``, and their version of HTTP."""

from __future__ import annotations

from typing import Any

import bare_app
import ws_bare_app


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application; the WebSocket ``/version`` says which version of HTTP carries it."""
    if scope["type"] != "websocket":
        await bare_app.app(scope, receive, send)
    elif scope["path"] == "/version":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["http_version"]})
        await send({"type": "websocket.close"})
    else:
        await ws_bare_app.app(scope, receive, send)
