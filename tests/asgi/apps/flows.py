"""The pages of ``wire``, and some for requests and answers that overlap."""

from __future__ import annotations

from typing import Any

import aio
import wire
from kit import Exchange, application, as_routes


async def answer_then_read(exchange: Exchange) -> None:
    """Begin the answer, then ask for the body and send it back."""
    await exchange.start()
    await exchange.write(b"begun:")
    await exchange.write(await exchange.body(), more=False)


async def read_by_turns(exchange: Exchange) -> None:
    """Three tasks receive at once, again and again; tell the pieces sorted, and the tasks that saw the end."""
    pieces: list[str] = []
    ends = 0
    more = True

    async def read() -> None:
        nonlocal ends, more
        while more:
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                break
            pieces.append(message["body"].decode())
            if not message["more_body"]:
                more = False
                await exchange.json(sorted(pieces))
        ends += 1

    async with aio.group() as group:
        for _ in range(3):
            await group.start(read)
    wire.notes.append(["tasks that ended", ends])


async def field_kinds(exchange: Exchange) -> None:
    """Fields in any iterable, each pair a list or a tuple."""
    kinds: dict[str, Any] = {
        "tuple": ((b"x-a", b"1"), [b"x-b", b"2"]),
        "generator": ((name, value) for name, value in ((b"x-a", b"1"), (b"x-b", b"2"))),
        "items": {b"x-a": b"1", b"x-b": b"2"}.items(),
    }
    await exchange.send(
        {"type": "http.response.start", "status": 200, "headers": kinds[exchange.query["kind"]]}
    )
    await exchange.write(b"fine", more=False)


app = application({**wire.routes, **as_routes(answer_then_read, read_by_turns, field_kinds)})
