"""A lifespan that ends with what is no ordinary exception, at start-up or at the shutdown."""

from __future__ import annotations

import asyncio
import os
import types
from collections.abc import Generator
from typing import Any


class Strange(BaseException):
    """Nobody's exception."""


KINDS = {"exit": SystemExit(7), "cancelled": asyncio.CancelledError(), "strange": Strange()}


@types.coroutine
def trapped(trap: object) -> Generator[object, None, None]:
    """Yield to the library what it does not know."""
    yield trap


async def end(what: str) -> None:
    """Raise what is asked for, or wait for something of another library."""
    if what == "foreign":
        await trapped(("no trap", 3))
    raise KINDS[what]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """End as and when the environment says."""
    assert scope["type"] == "lifespan"
    when, what = os.environ["LIFESPAN_ENDS"].split()
    await receive()
    if when == "startup":
        await end(what)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await end(what)
