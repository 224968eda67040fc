"""What is asked through proxies again and again: who answers, and what was sent."""

from __future__ import annotations

import os
from typing import Any

import aio


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with process, method and body; ``/slow`` takes a moment."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await aio.sleep(0.05)
    text = b"%d %s %s" % (os.getpid(), scope["method"].encode(), body)
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": text})
