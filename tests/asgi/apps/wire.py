"""What the tests of the wire need: every path that was reached is kept, and shown by ``/seen``."""

from __future__ import annotations

import hashlib
from typing import Any

import aio
from kit import Exchange, application, as_routes

seen_paths: list[str] = []
notes: list[Any] = []
held = 0
gate: list[aio.Event] = []


async def seen(exchange: Exchange) -> None:
    await exchange.json(seen_paths)


async def noted(exchange: Exchange) -> None:
    await exchange.json(notes)


async def hello(exchange: Exchange) -> None:
    await exchange.answer(b"Hello, world!", fields=[(b"content-type", b"text/plain")])


async def number(exchange: Exchange) -> None:
    """Answer with the number that was asked for, after a while if one is given."""
    if "ms" in exchange.query:
        await aio.sleep(exchange.number("ms") / 1000)
    await exchange.answer(exchange.query["n"].encode())


async def echo(exchange: Exchange) -> None:
    await exchange.answer(await exchange.body())


async def ignore(exchange: Exchange) -> None:
    """Answer without reading the body."""
    if "ms" in exchange.query:
        await aio.sleep(exchange.number("ms") / 1000)
    await exchange.answer(b"ignored", exchange.number("code", 200))


async def read_some(exchange: Exchange) -> None:
    """Answer after the first piece of the body."""
    message = await exchange.receive()
    await exchange.answer(b"read %d" % (len(message["body"]) > 0))


async def read_late(exchange: Exchange) -> None:
    """Read the body only when it is allowed to."""
    await hold(exchange)
    body = await exchange.body()
    await exchange.json([len(body), hashlib.sha256(body).hexdigest()])


async def upload(exchange: Exchange) -> None:
    """Tell the size and hash of a body without keeping it."""
    digest, size, more = hashlib.sha256(), 0, True
    while more:
        message = await exchange.receive()
        assert message["type"] == "http.request", message
        digest.update(message["body"])
        size += len(message["body"])
        more = message["more_body"]
    await exchange.json([size, digest.hexdigest()])


def block(number: int, size: int) -> bytes:
    """Return the bytes of a download's piece."""
    return bytes([number % 251]) * size


async def download(exchange: Exchange) -> None:
    """Send ``count`` pieces of ``size`` bytes; the notes show how far it is."""
    count, size = exchange.number("count"), exchange.number("size")
    if "length" in exchange.query:
        await exchange.start(200, [(b"content-length", b"%d" % (count * size))])
    else:
        await exchange.start()
    progress = [exchange.query.get("token"), 0]
    notes.append(progress)
    for sent in range(count):
        await exchange.write(block(sent, size), more=sent < count - 1)
        progress[1] = sent + 1


async def hold(exchange: Exchange) -> None:
    """Wait until ``/let`` is asked for."""
    global held
    event = aio.Event()
    gate.append(event)
    held += 1
    await event.wait()
    held -= 1


async def held_now(exchange: Exchange) -> None:
    await exchange.answer(b"%d" % held)


async def held_page(exchange: Exchange) -> None:
    await hold(exchange)
    await exchange.answer(b"held")


async def let(exchange: Exchange) -> None:
    """Let all that is held go on."""
    events = gate.copy()
    gate.clear()
    for event in events:
        await event.set()
    await exchange.answer(b"%d" % len(events))


async def fields(exchange: Exchange) -> None:
    """Answer with the fields that were asked for as ``name=value``."""
    await exchange.start(200, [(name.encode(), value.encode()) for name, value in exchange.query.items()])
    await exchange.write(b"body", more=False)


async def stream(exchange: Exchange) -> None:
    """Answer in pieces without a length, waiting in between if that is asked for."""
    await exchange.start()
    for piece in exchange.query.get("pieces", "a,b,c").split(","):
        await exchange.write(piece.encode())
        if "ms" in exchange.query:
            await aio.sleep(exchange.number("ms") / 1000)
    await exchange.write(b"", more=False)


async def fail(exchange: Exchange) -> None:
    raise ValueError("on purpose")


async def wait_for_body(exchange: Exchange) -> None:
    """Wait for the rest of a body; note what the end of it was."""
    last: Any = {"more_body": True}
    while last.get("more_body"):
        last = await exchange.receive()
    notes.append([exchange.query["token"], last["type"]])
    if last["type"] == "http.request":
        await exchange.answer(b"complete")


routes = as_routes(
    seen,
    noted,
    hello,
    number,
    echo,
    ignore,
    read_some,
    read_late,
    upload,
    download,
    held_now,
    held_page,
    let,
    fields,
    stream,
    fail,
    wait_for_body,
)
inner = application(routes)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Note the path, then go on."""
    if scope["type"] == "http":
        seen_paths.append(scope["path"])
    await inner(scope, receive, send)
