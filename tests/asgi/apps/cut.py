"""Sends half of an answer, and then the other half or nothing more."""

from __future__ import annotations

from typing import Any


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve one scope."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    if scope["path"] == "/whole":
        await send({"type": "http.response.body", "body": b" and half"})
