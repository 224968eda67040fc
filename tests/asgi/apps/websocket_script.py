"""WebSockets that do what their requests ask for: ``do`` is a list of steps in JSON, taken one after another.

``["take"]`` receives an event, ``["note"]`` notes it as well, ``["drain"]`` does so up to the disconnect;
``["send", message]`` sends; ``["try", message]`` notes what is raised then; ``["note-scope"]`` notes the scope;
``["echo"]`` answers every message with itself up to the disconnect, which is noted; ``["flood", bytes, count]`` sends
messages until that raises; ``["stream", count, bytes]`` sends pieces of an answer; ``["sleep", seconds]`` and
``["wait"]``, up to ``/release``, need an async library;
``["raise"]`` fails; ``["done"]`` notes that all went well. Bytes are written ``{"bytes": text}``, as they are in the
notes, which stand at ``/notes``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import aio
from kit import Exchange, application, as_routes, plain

kept: dict[str, list[Any]] = {}
events: dict[str, aio.Event] = {}
connected: list[str] = []


def unpacked(value: Any) -> Any:
    """Turn the bytes of a step into bytes."""
    if isinstance(value, dict):
        if list(value) == ["bytes"] and isinstance(value["bytes"], str):
            return value["bytes"].encode("latin-1")
        return {key: unpacked(item) for key, item in value.items()}
    return [unpacked(item) for item in value] if isinstance(value, list) else value


class Socket:
    """A WebSocket, and what is noted of it."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        self.token = self.query.get("token", "")

    def note(self, what: Any) -> None:
        """Keep something for the test."""
        kept.setdefault(self.token, []).append(plain(what))


async def take(socket: Socket) -> None:
    await socket.receive()


async def note(socket: Socket) -> None:
    socket.note(await socket.receive())


async def drain(socket: Socket) -> None:
    while True:
        event = await socket.receive()
        socket.note(event)
        if event["type"] == "websocket.disconnect":
            return


async def send(socket: Socket, message: Any) -> None:
    await socket.send(message)


async def attempt(socket: Socket, message: Any) -> None:
    try:
        await socket.send(message)
    except Exception as error:
        socket.note([kind.__name__ for kind in type(error).__mro__])
    else:
        socket.note("sent")


async def note_scope(socket: Socket) -> None:
    socket.note(dict(socket.scope))


async def echo(socket: Socket) -> None:
    while True:
        event = await socket.receive()
        if event["type"] == "websocket.disconnect":
            socket.note(event)
            return
        key = "text" if event["text"] is not None else "bytes"
        await socket.send({"type": "websocket.send", key: event[key]})


async def flood(socket: Socket, size: int, count: int) -> None:
    data = bytes(size)
    for number in range(count):
        try:
            await socket.send({"type": "websocket.send", "bytes": data})
        except OSError as error:
            socket.note([number, type(error).__name__])
            raise
        kept[f"{socket.token}-sent"] = [number + 1]
    socket.note([count, "sent"])


async def stream(socket: Socket, count: int, size: int) -> None:
    for number in range(count):
        data = b"%d" % (number % 10) * size
        await socket.send({"type": "websocket.http.response.body", "body": data, "more_body": True})


async def sleep(socket: Socket, seconds: float) -> None:
    await aio.sleep(seconds)


async def wait(socket: Socket) -> None:
    event = events[socket.token] = aio.Event()
    await event.wait()


async def fail(socket: Socket) -> None:
    raise ValueError("on purpose")


async def done(socket: Socket) -> None:
    socket.note("done")


STEPS: dict[str, Callable[..., Awaitable[None]]] = {
    "take": take,
    "note": note,
    "drain": drain,
    "send": send,
    "try": attempt,
    "note-scope": note_scope,
    "echo": echo,
    "flood": flood,
    "stream": stream,
    "sleep": sleep,
    "wait": wait,
    "raise": fail,
    "done": done,
}


async def script(socket: Socket) -> None:
    """Take the steps."""
    for name, *arguments in unpacked(json.loads(socket.query["do"])):
        await STEPS[name](socket, *arguments)


async def notes(exchange: Exchange) -> None:
    """What was noted of a WebSocket."""
    await exchange.json(kept.get(exchange.query["token"], []))


async def seen(exchange: Exchange) -> None:
    """The paths of the WebSockets that came."""
    await exchange.json(connected)


async def release(exchange: Exchange) -> None:
    """Let a WebSocket go on."""
    event = events.get(exchange.query["token"])
    if event is not None:
        await event.set()
    await exchange.json("released" if event is not None else "nobody waits")


async def asked(exchange: Exchange) -> None:
    """An exchange of HTTP, whatever the request asked for."""
    fields = [name.decode() for name, _ in exchange.scope["headers"]]
    await exchange.json([exchange.scope["type"], exchange.scope["method"], fields])


http = application(as_routes(notes, seen, release, asked))


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve a scope."""
    if scope["type"] != "websocket":
        await http(scope, receive, send)
        return
    connected.append(scope["path"])
    socket = Socket(scope, receive, send)
    if scope["path"] == "/script":
        await script(socket)
        return
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await echo(socket)
