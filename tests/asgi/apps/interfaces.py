"""Applications of ASGI 2, some that do not show it, and pages that tell of their environment."""

from __future__ import annotations

import contextvars
import os
from typing import Any

seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")

AT_IMPORT = os.environ.get("TRICORN_TEST_GREETING", "")


async def answer(send: Any, text: str) -> None:
    """Answer with a text."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


class Double:
    """ASGI 2, as a class: one object for each request, and one for the lifespan."""

    started = False

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        if self.scope["type"] == "lifespan":
            await receive()
            Double.started = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif self.scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": self.scope["asgi"]["version"]})
            await send({"type": "websocket.close"})
        else:
            body = (await receive()).get("body", b"").decode()
            await answer(send, f"{self.scope['asgi']['version']} {self.started} {body}")


def double(scope: Any) -> Any:
    """The same, as a function."""
    return Double(scope)


def hidden(scope: Any, *options: Any) -> Any:
    """ASGI 2, which also takes three arguments, so that it must be said."""
    assert not options
    return Double(scope)


def failing(scope: Any) -> Any:
    """Fail before there is anything to await."""
    if scope["type"] != "lifespan":
        raise ValueError("in the first call")
    return Double(scope)


def single(scope: Any, receive: Any = None, send: Any = None) -> Any:
    """ASGI 3, which is also called with one argument, by programs."""
    assert receive is not None
    return Double(scope)(receive, send)


async def context(scope: Any, receive: Any, send: Any) -> None:
    """Tell what the context variable is, and leave another value behind; the start-up leaves one, too."""
    if scope["type"] == "lifespan":
        await receive()
        seen.set("the lifespan's")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    before = seen.get()
    seen.set("a request's")
    await answer(send, before)


async def greeting(scope: Any, receive: Any, send: Any) -> None:
    """Tell what the environment was when this was imported."""
    await answer(send, f"{AT_IMPORT} {os.environ.get('TRICORN_TEST_KEPT')}")


seen.set("the program's")
