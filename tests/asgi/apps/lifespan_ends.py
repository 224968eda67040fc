"""A lifespan that ends with what is no ordinary exception, at start-up or at the shutdown."""

from __future__ import annotations

import asyncio
import os
from typing import Any


class Strange(BaseException):
    """Nobody's exception."""


KINDS = {"exit": SystemExit(7), "cancelled": asyncio.CancelledError(), "strange": Strange()}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Raise what and when the environment says."""
    assert scope["type"] == "lifespan"
    when, what = os.environ["LIFESPAN_ENDS"].split()
    await receive()
    if when == "startup":
        raise KINDS[what]
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise KINDS[what]
