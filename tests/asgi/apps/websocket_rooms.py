"""WebSockets in rooms, to which requests of HTTP broadcast; needs no async library."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import count, takewhile
from typing import Any

from kit import Exchange, application, as_routes

from tricorn import broadcast

rooms: dict[str, list[Any]] = {}
WRONG: dict[str, dict[str, Any]] = {
    "both": {"type": "websocket.send", "text": "a", "bytes": b"a"},
    "neither": {"type": "websocket.send", "text": None},
    "text-of-bytes": {"type": "websocket.send", "text": b"a"},
    "bytes-of-str": {"type": "websocket.send", "bytes": "a"},
    "another-type": {"type": "websocket.close"},
    "no-type": {"text": "a"},
    "surrogate": {"type": "websocket.send", "text": "\udc80"},
}


def message(query: dict[str, str]) -> dict[str, Any]:
    """Return the message that a request asks for."""
    if "case" in query:
        return WRONG[query["case"]]
    if "bytes" in query:
        return {"type": "websocket.send", "bytes": query["bytes"].encode()}
    text = "word " * int(query["words"]) if "words" in query else query["text"]
    return {"type": "websocket.send", "text": text}


async def failing(event: dict[str, Any]) -> None:
    """A send of a middleware that fails."""
    raise ZeroDivisionError


def times(query: dict[str, str]) -> Iterable[int]:
    """Give the turns of a request: a number of them, or as many as some seconds have."""
    if "seconds" not in query:
        return range(int(query.get("times", "1")))
    end = time.monotonic() + float(query["seconds"])
    return takewhile(lambda _: time.monotonic() < end, count())


async def broadcast_to(exchange: Exchange) -> None:
    """Broadcast to a room and answer with the numbers of those that were missed, or with what was raised."""
    query = exchange.query
    room = rooms.setdefault(query["room"], [])
    if query.get("action") == "size":
        await exchange.json(len(room))
        return
    sends = [*room, failing] if "foreign" in query else list(room)
    missed: list[Any] = []
    try:
        for _ in times(query):
            missed = await broadcast((s for s in sends) if "generator" in query else sends, message(query))
            if "seconds" in query and not missed:
                break
    except Exception as error:
        await exchange.json(type(error).__name__)
        return
    await exchange.json([number for number, send in enumerate(sends) if send in missed])


http = application({"/broadcast": broadcast_to, **as_routes()})


def wrap(send: Any) -> Any:
    """Do what a middleware does."""

    async def wrapped(event: dict[str, Any]) -> None:
        await send(event)

    return wrapped


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve a scope: WebSockets join a room, and echo; they stay in it when they have gone."""
    if scope["type"] != "websocket":
        await http(scope, receive, send)
        return
    options = scope["query_string"].decode().split("&")
    room = rooms.setdefault(options[0].partition("=")[2], [])
    mine = wrap(send) if "wrapped" in options else send
    await receive()
    if "early" in options:
        room.append(mine)
        await receive()
        return
    await send({"type": "websocket.accept"})
    room.append(mine)
    await send({"type": "websocket.send", "text": "joined"})
    while (event := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": event["text"]})
