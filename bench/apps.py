"""The applications that are measured: bare ASGI, the same object for every server.

`sleep0` suspends once before it answers, in the library that the environment variable BENCH_LIBRARY names.
The applications made with frameworks are in `bench.frameworks`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HELLO = b"Hello, world!"

CHUNK = b"0123456789abcdef" * 4096
"""What a download sends at once: 64 KiB."""

DOWNLOAD = 8000 * len(CHUNK)
"""The bytes of a download: 500 MiB."""

LARGE = CHUNK + CHUNK[: 36 * 1024]
"""An answer of 100 KiB, sent in one piece."""


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 13 bytes."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
        }
    )
    await send({"type": "http.response.body", "body": HELLO})


def marked(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Answer as `hello` and `socket_echo` do; a request for /mark calls getpriority(2).

    Whoever counts instructions can see that call.
    """
    if scope["type"] == "http":
        if scope["path"] == "/mark":
            os.getpriority(os.PRIO_PROCESS, 0)
    elif scope["type"] == "websocket":
        return socket_echo(scope, receive, send)
    return hello(scope, receive, send)


def head(length: int) -> Message:
    """Make the start of an answer of plain text of this length."""
    fields = [(b"content-type", b"text/plain"), (b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": 200, "headers": fields}


async def read_body(receive: Receive) -> list[bytes]:
    """Receive the request's body to its end, in the pieces in which it came."""
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return pieces


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the request's body."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    body = b"".join(await read_body(receive))
    await send(head(len(body)))
    await send({"type": "http.response.body", "body": body})


async def sink(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the request's body, then answer as `hello` does."""
    if scope["type"] == "http":
        await read_body(receive)
    await hello(scope, receive, send)


async def tally(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the request's body, keep none of it, and answer its length in 13 digits."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send(head(13))
    await send({"type": "http.response.body", "body": b"%013d" % length})


async def worker(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the process's number in 13 digits."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send(head(13))
    await send({"type": "http.response.body", "body": b"%013d" % os.getpid()})


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 100 KiB in one piece."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send(head(len(LARGE)))
    await send({"type": "http.response.body", "body": LARGE})


async def download(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 500 MiB, 64 KiB at a time, all of them the same object."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send(head(DOWNLOAD))
    for _ in range(DOWNLOAD // len(CHUNK)):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def produce(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as `download` does, each piece made anew, so that whoever keeps pieces needs memory for each."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await send(head(DOWNLOAD))
    for _ in range(DOWNLOAD // len(CHUNK)):
        await send(
            {"type": "http.response.body", "body": b"".join((CHUNK[:1], CHUNK[1:])), "more_body": True}
        )
    await send({"type": "http.response.body", "body": b""})


async def socket_echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept a WebSocket and send every text back; answer other requests as `hello` does."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def send_to_each(sends: Iterable[Send], message: Message) -> None:
    """Send a message to one socket after another."""
    for send in sends:
        await send(message)


def broadcaster() -> Callable[[Iterable[Send], Message], Awaitable[object]]:
    """Return Tricorn's own broadcast where it is installed and not switched off, else `send_to_each`."""
    if os.environ.get("BENCH_BROADCAST") == "loop":
        return send_to_each
    with contextlib.suppress(ImportError, AttributeError):
        own: Callable[[Iterable[Send], Message], Awaitable[object]] = importlib.import_module(
            "tricorn"
        ).broadcast
        return own
    return send_to_each


broadcast = broadcaster()
sockets: dict[Send, None] = {}
"""The `send` of each open socket."""


async def socket_broadcast(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept a WebSocket and send every text that comes to all of them."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    sockets[send] = None
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await broadcast(sockets, {"type": "websocket.send", "text": message["text"]})
    del sockets[send]


async def lifespan(receive: Receive, send: Send) -> None:
    """Take part in the lifespan protocol, with nothing to set up."""
    while True:
        event = (await receive())["type"]
        await send({"type": event + ".complete"})
        if event == "lifespan.shutdown":
            return


def suspending(library: str) -> Application:
    """Make the application that sleeps once for no time at all, then answers as `hello` does."""
    sleep = importlib.import_module(library).sleep

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sleep(0)
        await hello(scope, receive, send)

    return application


sleep0 = suspending(os.environ.get("BENCH_LIBRARY", "asyncio"))
