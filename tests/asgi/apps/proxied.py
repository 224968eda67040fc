"""What applications behind proxies see: every path answers with its scope."""

from __future__ import annotations

import json
import time
from typing import Any

from kit import plain


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the scope; a WebSocket gets it as its first message; ``/block/SECONDS`` keeps the loop."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan")
    text = json.dumps(plain(scope))
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close"})
        return
    if scope["path"].startswith("/block/"):
        time.sleep(float(scope["path"].removeprefix("/block/")))
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": text.encode()})
