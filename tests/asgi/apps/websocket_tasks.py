"""WebSockets that several tasks use at once, that are cancelled while they receive, or that send odd objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import aio

Handler = Callable[[Any, Any, dict[str, str]], Awaitable[None]]


async def text(send: Any, what: str) -> None:
    """Send a text."""
    await send({"type": "websocket.send", "text": what})


async def kind(receive: Any, send: Any, query: dict[str, str]) -> None:
    """Send one message, of some kind of object."""
    data = "schön".encode()
    kinds: dict[str, Any] = {"bytes": data, "bytearray": bytearray(data), "memoryview": memoryview(data)}
    if query["kind"] == "text":
        await text(send, "schön")
    else:
        await send({"type": "websocket.send", "bytes": kinds[query["kind"]]})
    await receive()


async def crowd(receive: Any, send: Any, query: dict[str, str]) -> None:
    """Many tasks send messages of their own, large and small; each of a task's is of one letter."""

    async def talk(number: int) -> None:
        for turn in range(int(query["turns"])):
            size = int(query["size"]) if (number + turn) % 2 else 10
            await text(send, f"{number}:{turn}:" + chr(97 + number) * size)

    async with aio.group() as group:
        for number in range(int(query["tasks"])):
            await group.start(talk, number)
    await text(send, "all")
    await receive()


async def impatient(receive: Any, send: Any, query: dict[str, str]) -> None:
    """Cancel receive() again and again, and echo what it gives in between."""
    given_up = 0
    while True:
        event = None
        async with aio.move_on_after(float(query["seconds"])):
            event = await receive()
        if event is None:
            given_up += 1
            continue
        if event["type"] == "websocket.disconnect":
            return
        await text(send, f"{event['text']}:{given_up}" if event["text"] == "count" else event["text"])


async def expired(receive: Any, send: Any, query: dict[str, str]) -> None:
    """Inside a scope that is cancelled already, what has arrived is given and nothing is lost."""
    assert (await receive())["text"] == "go"
    await aio.sleep(0.1)
    found = []
    for _ in range(100):
        async with aio.expired():
            found.append((await receive())["text"])
        if found and found[-1] == "last":
            break
    await text(send, ",".join(found))
    await receive()


async def duplex(receive: Any, send: Any, query: dict[str, str]) -> None:
    """One task receives and another sends."""
    over = aio.Event()

    async def read() -> None:
        count = 0
        while (await receive())["type"] == "websocket.receive":
            count += 1
            if count == int(query["count"]):
                await text(send, "received all")
        await over.set()

    async with aio.group() as group:
        await group.start(read)
        for number in range(int(query["count"])):
            await text(send, f"{number}")
            if number % 50 == 0:
                await aio.checkpoint()
        await over.wait()


async def readers(receive: Any, send: Any, query: dict[str, str]) -> None:
    """Several tasks receive at once: each message goes to one of them, the disconnect to all."""
    got: list[str] = []
    ends: list[int] = []

    async def read() -> None:
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                ends.append(event["code"])
                return
            got.append(event["text"])
            if len(got) == int(query["count"]):
                await text(send, ",".join(sorted(got)))

    async with aio.group() as group:
        for _ in range(3):
            await group.start(read)
    print("readers ended", ends, flush=True)


async def blocked(receive: Any, send: Any, query: dict[str, str]) -> None:
    """Tasks are suspended in send(); the disconnect reaches another, and sends fail: how many did not is told."""
    failed: list[str] = []
    sent = 0

    async def write() -> None:
        nonlocal sent
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
                sent += 1
        except OSError as error:
            failed.append(type(error).__name__)

    async with aio.group() as group:
        for _ in range(int(query.get("writers", "1"))):
            await group.start(write)
        event = await receive()
        while event["type"] != "websocket.disconnect":
            event = await receive()
    print("blocked ended", event["code"], failed, sent, flush=True)


async def closing(receive: Any, send: Any, query: dict[str, str]) -> None:
    """Close while another task is suspended in send(), and tell what its sends came to after that."""
    came_to: list[str] = []

    async def write() -> None:
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
                came_to.append("sent")
        except OSError as error:
            came_to.append(type(error).__name__)

    async with aio.group() as group:
        await group.start(write)
        await aio.sleep(0.5)
        came_to.clear()
        await send({"type": "websocket.close", "code": 4000})
    print("closing ended", came_to, flush=True)


async def cancelled_send(receive: Any, send: Any, query: dict[str, str]) -> None:
    """A send() that waits for a slow client is cancelled; what was sent stays whole, and more can be sent."""
    sent = 0
    late = False
    while not late:
        async with aio.move_on_after(0.3) as felt:
            await send({"type": "websocket.send", "bytes": b"%08d" % sent + bytes(100_000)})
            sent += 1
        late = bool(felt)
    await text(send, f"sent {sent}")
    await receive()


async def impatient_send(receive: Any, send: Any, query: dict[str, str]) -> None:
    """Give up a send() again and again; the last says how many were not."""
    sent = 0
    data = bytes(int(query["size"]))
    for number in range(int(query["times"])):
        async with aio.move_on_after(0.002):
            await send({"type": "websocket.send", "bytes": b"%08d" % number + data})
            sent += 1
    print("impatient given up", flush=True)
    await text(send, f"sent {sent}")
    await receive()


HANDLERS: dict[str, Handler] = {
    f"/{handler.__name__}": handler
    for handler in (
        kind,
        crowd,
        impatient,
        expired,
        duplex,
        readers,
        blocked,
        closing,
        cancelled_send,
        impatient_send,
    )
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Accept, and do what the path is for."""
    assert scope["type"] == "websocket", "nothing else is spoken here"
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await HANDLERS[scope["path"]](receive, send, dict(parse_qsl(scope["query_string"].decode())))
