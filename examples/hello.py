"""A bare ASGI application for every async library: a page that tells which one it runs on.

tricorn hello:app --app-dir examples --async-library trio
"""

from __future__ import annotations

import html
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tricorn</title>
<style>
  body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1rem; color: #222 }}
  h1 {{ font-weight: 600 }} strong {{ color: #7b2d8b }} code {{ background: #f3eef5; padding: .1em .3em }}
</style>
<h1>Tricorn is serving</h1>
<p>This answer was given on <strong>{library}</strong>, Python {python}, over HTTP/{version}.</p>
<p>You asked for <code>{method} {path}</code>.</p>
<p>Try another: <code>make run LIB=trio</code>, or your own: <code>make run APP=package.module:app</code>.</p>
</html>
"""


def library() -> str:
    """Name the async library whose task is running this."""
    if "curio" in sys.modules:
        from curio.meta import curio_running

        if curio_running():
            return "curio"
    if "trio" in sys.modules:
        import trio

        if trio.lowlevel.in_trio_run():
            return "trio"
    import asyncio

    return "uvloop" if type(asyncio.get_running_loop()).__module__.startswith("uvloop") else "asyncio"


async def lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge the start and the end of the server."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer every request with the page."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] != "http":
        raise NotImplementedError(f"this application does not speak {scope['type']}")
    body = PAGE.format(
        library=library(),
        python=sys.version.split()[0],
        version=scope["http_version"],
        method=html.escape(scope["method"]),
        path=html.escape(scope["path"]),
    ).encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
