"""What the soak asks for: every kind of exchange, with nothing kept by the application itself.

With ``SOAK_LEAK=n`` in the environment it leaks: an object of n bytes for each plain page.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import zlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import aio

Page = Callable[[dict[str, str], Any, Any], Awaitable[None]]

LEAK = int(os.environ.get("SOAK_LEAK", "0"))
PIECE = bytes(range(256)) * 4
EVENTS = 40
"""Server-sent events of a stream, 50 ms apart, so that it ends within two seconds."""

_kept: list[bytes] = []
_active: set[int] = set()
"""The calls of the application that have not returned."""


class Heap(ctypes.Structure):
    """What ``mallinfo2`` of glibc tells."""

    _fields_ = [
        *((f"before_{n}", ctypes.c_size_t) for n in range(4)),
        ("hblkhd", ctypes.c_size_t),
        *((f"between_{n}", ctypes.c_size_t) for n in range(2)),
        ("uordblks", ctypes.c_size_t),
        *((f"behind_{n}", ctypes.c_size_t) for n in range(2)),
    ]


_mallinfo = ctypes.CDLL(None).mallinfo2
_mallinfo.restype = Heap


async def answer(send: Any, body: bytes, status: int = 200, kind: bytes = b"text/plain") -> None:
    """Send a whole answer."""
    fields = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def page(query: dict[str, str], receive: Any, send: Any) -> None:
    """Answer at once with what was asked for."""
    if LEAK:
        _kept.append(bytes(LEAK))
    await answer(send, f"page {query.get('n', '')}".encode())


async def sleep(query: dict[str, str], receive: Any, send: Any) -> None:
    """Answer after so many milliseconds."""
    await aio.sleep(int(query["ms"]) / 1000)
    await answer(send, b"slept")


async def digest(query: dict[str, str], receive: Any, send: Any) -> None:
    """Read a body and answer with its length and checksum."""
    length = checksum = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        piece = event.get("body", b"")
        length, checksum = length + len(piece), zlib.crc32(piece, checksum)
        if not event.get("more_body"):
            break
    await answer(send, f"{length} {checksum}".encode())


async def stream(query: dict[str, str], receive: Any, send: Any) -> None:
    """Send so many pieces of a KiB, with a suspension after each fourth."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for n in range(int(query["n"])):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        if n % 4 == 3:
            await aio.sleep(0)
    await send({"type": "http.response.body"})


async def events(query: dict[str, str], receive: Any, send: Any) -> None:
    """Send server-sent events until the client leaves, or there are no more."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
    )
    for n in range(EVENTS):
        await send({"type": "http.response.body", "body": b"data: %d\n\n" % n, "more_body": True})
        async with aio.move_on_after(0.05):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
    await send({"type": "http.response.body"})


async def fail(query: dict[str, str], receive: Any, send: Any) -> None:
    """Raise, before the answer, or amid it."""
    if "begun" in query:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await aio.sleep(0)
    raise RuntimeError("deliberate")


async def background(query: dict[str, str], receive: Any, send: Any) -> None:
    """Answer, and work on for a while."""
    await answer(send, b"begun")
    for _ in range(5):
        await aio.sleep(0.02)


async def facts(query: dict[str, str], receive: Any, send: Any) -> None:
    """Tell what this process holds; with ``collect`` after a collection."""
    if "collect" in query:
        gc.collect()
    heap = _mallinfo()
    known = {
        "pid": os.getpid(),
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "references": getattr(sys, "gettotalrefcount", int)(),
        "heap": heap.uordblks + heap.hblkhd,
        "active": len(_active),
    }
    await answer(send, json.dumps(known).encode(), kind=b"application/json")


async def missing(query: dict[str, str], receive: Any, send: Any) -> None:
    """Say that there is no such page."""
    await answer(send, b"no such page", 404)


PAGES: dict[str, Page] = {
    "/page": page,
    "/sleep": sleep,
    "/digest": digest,
    "/stream": stream,
    "/events": events,
    "/fail": fail,
    "/background": background,
    "/facts": facts,
}


async def meet(path: str, receive: Any, send: Any) -> None:
    """Take a WebSocket, or deny it."""
    if path == "/echo":
        await echo(receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": 1000})


async def echo(receive: Any, send: Any) -> None:
    """Accept a WebSocket and return what comes; ``fail`` makes it raise, ``close`` close."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        text, data = event.get("text"), event.get("bytes")
        if text == "fail":
            raise RuntimeError("deliberate")
        if text == "close":
            await send({"type": "websocket.close", "code": 3001, "reason": "asked"})
            return
        await send(
            {"type": "websocket.send", "text": text}
            if text is not None
            else {"type": "websocket.send", "bytes": data}
        )


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer a page, or echo; a WebSocket for another path than ``/echo`` is denied."""
    call = id(scope)
    _active.add(call)
    try:
        if scope["type"] == "websocket":
            await meet(scope["path"], receive, send)
        else:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            await PAGES.get(scope["path"], missing)(query, receive, send)
    finally:
        _active.discard(call)
