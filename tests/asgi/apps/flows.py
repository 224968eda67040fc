"""The pages of ``wire``, and some for requests and answers that overlap."""

from __future__ import annotations

import array
import json
import mmap
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


async def told(exchange: Exchange) -> None:
    """Give exactly the answer that the query tells, and nothing if that is refused but the refusal."""
    answer = json.loads(exchange.query["answer"])
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer["fields"]]
    pieces = [piece.encode("latin-1") * answer.get("times", 1) for piece in answer["pieces"]]
    await exchange.start(answer["status"], fields)
    for number, piece in enumerate(pieces, 1):
        await exchange.write(piece, more=number < len(pieces) or answer.get("open", False))


class Bytes(bytes):
    """Bytes of a class of one's own."""


async def body_kinds(exchange: Exchange) -> None:
    """A body in whatever holds bytes."""
    kinds: dict[str, Any] = {
        "bytes": b"abcd",
        "subclass": Bytes(b"abcd"),
        "bytearray": bytearray(b"abcd"),
        "view": memoryview(b"-abcd-")[1:5],
        "array": array.array("H", [0x6261, 0x6463]),
        "view-of-array": memoryview(array.array("H", [0x6261, 0x6463])),
        "map": mmap.mmap(-1, 4),
        "every-second": memoryview(b"a-b-c-d-")[::2],
    }
    kinds["map"][:] = b"abcd"
    await exchange.start(200, [(b"content-length", b"4")])
    try:
        await exchange.send({"type": "http.response.body", "body": kinds[exchange.query["kind"]]})
    except BufferError:
        await exchange.write(b"none", more=False)


app = application(
    {**wire.routes, **as_routes(answer_then_read, read_by_turns, field_kinds, told, body_kinds)}
)
