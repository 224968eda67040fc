"""The application that is attacked: a greeting, a large answer, a body that is read, and a WebSocket that echoes."""

from __future__ import annotations

from bench.apps import CHUNK, Receive, Scope, Send, head, hello, sink

PIECES = 256
"""How many pieces of 64 KiB the large answer has: more than the buffers of all concerned hold."""


async def large(receive: Receive, send: Send) -> None:
    """Answer 16 MiB, each piece made anew, so that whoever keeps pieces needs memory for each."""
    await send(head(PIECES * len(CHUNK)))
    for _ in range(PIECES):
        piece = b"".join((CHUNK[:1], CHUNK[1:]))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def client(scope: Scope, send: Send) -> None:
    """Answer the address that the client is taken for."""
    text = str(scope["client"][0]).encode()
    await send(head(len(text)))
    await send({"type": "http.response.body", "body": text})


async def echo(receive: Receive, send: Send) -> None:
    """Accept a WebSocket and send every message back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        answer = {name: message[name] for name in ("text", "bytes") if message.get(name) is not None}
        await send({"type": "websocket.send", **answer})


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what was asked for; a request with a body is answered when that has come."""
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "lifespan":
        await hello(scope, receive, send)
    elif scope["path"] == "/large":
        await large(receive, send)
    elif scope["path"] == "/client":
        await client(scope, send)
    else:
        await sink(scope, receive, send)
